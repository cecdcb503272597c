use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Says its name to whoever connects, then repeats what it hears.
async fn replica(name: u8) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            clients.spawn(async move {
                client.write_all(&[name]).await.unwrap();
                let (mut heard, mut said) = client.split();
                tokio::io::copy(&mut heard, &mut said).await.ok();
            });
        }
    });
    (address, serving)
}

fn listener() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens, and nobody else can as long as the socket is there.
fn nobody() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// The name of who answers, if anybody does.
async fn answers(balancer: SocketAddr) -> Option<u8> {
    let mut client = TcpStream::connect(balancer).await.unwrap();
    time::timeout(PATIENCE, client.read_u8()).await.expect("an answer or an end").ok()
}

#[tokio::test]
async fn each_connection_goes_to_the_next_replica() {
    let replicas = [replica(1).await, replica(2).await, replica(3).await];
    let (listener, address) = listener();
    let targets = replicas.iter().map(|(address, _)| *address).collect();
    let _balancer = Balancer::start(listener, targets).unwrap();
    for name in [1, 2, 3, 1, 2, 3, 1] {
        assert_eq!(answers(address).await, Some(name));
    }
}

#[tokio::test]
async fn a_dead_replica_is_passed_over() {
    let (first, _first) = replica(1).await;
    let (third, _third) = replica(3).await;
    let (second, _second) = nobody();
    let (listener, address) = listener();
    let _balancer = Balancer::start(listener, vec![first, second, third]).unwrap();
    for name in [1, 3, 3, 1, 3, 3] {
        assert_eq!(answers(address).await, Some(name));
    }
}

#[tokio::test]
async fn without_a_living_replica_clients_are_hung_up_on() {
    let [(first, _first), (second, _second)] = [nobody(), nobody()];
    let (listener, address) = listener();
    let _balancer = Balancer::start(listener, vec![first, second]).unwrap();
    for _ in 0..3 {
        assert_eq!(answers(address).await, None);
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_to_the_end_of_each_side() {
    let (target, _target) = replica(7).await;
    let (listener, address) = listener();
    let _balancer = Balancer::start(listener, vec![target]).unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    time::timeout(PATIENCE, client.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, b"\x07hello");
}

#[tokio::test]
async fn beyond_the_bound_a_client_waits_until_another_leaves() {
    let (target, _target) = replica(1).await;
    let (listener, address) = listener();
    let _balancer = Balancer::bounded(listener, vec![target], 2).unwrap();
    let mut within = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(address).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 1);
        within.push(client);
    }
    let mut beyond = TcpStream::connect(address).await.unwrap();
    let early = time::timeout(Duration::from_millis(200), beyond.read_u8()).await;
    assert!(early.is_err(), "it was served: {early:?}");
    within.pop();
    assert_eq!(time::timeout(PATIENCE, beyond.read_u8()).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn all_connections_end_with_the_balancer() {
    let (target, _target) = replica(1).await;
    let (listener, address) = listener();
    let balancer = Balancer::start(listener, vec![target]).unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), 1);
    drop(balancer);
    let ended = time::timeout(PATIENCE, client.read_u8()).await.expect("it ends");
    assert!(ended.is_err());
}
