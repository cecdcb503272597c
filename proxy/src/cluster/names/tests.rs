//! Against name servers that say what a test wants, over real sockets.

use std::{fs, io, net::Ipv4Addr};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::rdata::{A, SRV},
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};

use super::*;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Udp,
    Tcp,
}

/// What a name server says.
enum Said {
    Records(Vec<RData>),
    /// With this code: `NXDomain` and `NoError` are answers, all others failures.
    Nothing(ResponseCode),
    /// Not a word.
    Silence,
}

/// A name server; it ends with this.
struct Server {
    address: SocketAddr,
    /// The names that were asked for, once each, in their order.
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

type Book = Arc<dyn Fn(&str, RecordType, By) -> Said + Send + Sync>;

impl Server {
    async fn start(book: impl Fn(&str, RecordType, By) -> Said + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (book, asked): (Book, _) = (Arc::new(book), Arc::default());
        let by_tcp = tokio::spawn(serve_tcp(tcp, Arc::clone(&book), Arc::clone(&asked)));
        let by_udp = tokio::spawn(serve_udp(udp, book, Arc::clone(&asked)));
        Self { address, asked, tasks: vec![by_tcp, by_udp] }
    }

    /// One whose TCP port is shut.
    async fn without_tcp(
        book: impl Fn(&str, RecordType, By) -> Said + Send + Sync + 'static,
    ) -> Self {
        let (udp, _shut) = sockets().await;
        let (address, asked) = (udp.local_addr().unwrap(), Arc::default());
        let by_udp = tokio::spawn(serve_udp(udp, Arc::new(book), Arc::clone(&asked)));
        Self { address, asked, tasks: vec![by_udp] }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

/// Two of one port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, book: Book, asked: Arc<Mutex<Vec<String>>>) {
    let mut packet = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        if let Some(answer) = answer(&packet[..length], By::Udp, &book, &asked) {
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, book: Book, asked: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (book, asked) = (Arc::clone(&book), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let mut question = vec![0; stream.read_u16().await?.into()];
                stream.read_exact(&mut question).await?;
                let answer = answer(&question, By::Tcp, &book, &asked);
                let Some(answer) = answer else { continue };
                stream.write_u16(answer.len().try_into().unwrap()).await?;
                stream.write_all(&answer).await?;
            }
            #[expect(unreachable_code, reason = "it says what the loop fails with")]
            io::Result::Ok(())
        });
    }
}

fn answer(question: &[u8], by: By, book: &Book, asked: &Mutex<Vec<String>>) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let name = query.name().to_utf8().to_lowercase();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    match book(&name, query.query_type(), by) {
        Said::Silence => return None,
        Said::Nothing(code) => answer.metadata.response_code = code,
        Said::Records(records) => {
            let record = |data| Record::from_rdata(query.name().clone(), 1, data);
            answer.add_answers(records.into_iter().map(record));
        }
    }
    answer.add_query(query);
    let mut asked = asked.lock();
    if !asked.contains(&name) {
        asked.push(name);
    }
    Some(answer.to_vec().unwrap())
}

fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

const NOBODY: [IpAddr; 0] = [];

fn nothing() -> Said {
    Said::Nothing(ResponseCode::NXDomain)
}

/// The names of a machine whose only name server this is, with these lines beside it and this hosts file. They are looked
/// up as long as the folder is there.
fn machine(server: &Server, lines: &str, hosts: &str) -> (NameServers, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let [resolv, hosts_file] = ["resolv.conf", "hosts"].map(|name| folder.path().join(name));
    fs::write(&resolv, format!("nameserver 127.0.0.1\n{lines}\n")).unwrap();
    fs::write(&hosts_file, hosts).unwrap();
    let files = Files { resolv, hosts: hosts_file, port: server.address.port() };
    (NameServers(Whom::Machine(files)), folder)
}

fn chosen<const N: usize>(servers: [&Server; N]) -> NameServers {
    NameServers::new(&servers.map(|server| server.address))
}

#[tokio::test]
async fn a_server_that_fails_for_a_name_and_knows_none_in_the_search_domain_knows_nothing() {
    for code in [ResponseCode::Refused, ResponseCode::ServFail] {
        let server = Server::start(move |name, _, _| match name {
            "peers.example.net." | "_peer._tcp.example.net." => Said::Nothing(code),
            _ => nothing(),
        });
        let server = server.await;
        let (names, _files) = machine(&server, "search corp.test other.test", "");
        for family in [Family::V4, Family::V6] {
            let answer = names.addresses("peers.example.net", family).await;
            assert!(matches!(answer, Err(LookupError::Answer(_))), "{code}: {answer:?}");
        }
        let answer = names.services("_peer._tcp.example.net").await;
        assert!(matches!(answer, Err(LookupError::Answer(_))), "{code}: {answer:?}");
        assert!(server.asked().contains(&"peers.example.net.other.test.".to_owned()));
    }
}

#[tokio::test]
async fn nothing_is_believed_when_it_is_said_of_each_name_that_may_be_meant() {
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        let server = Server::start(move |_, _, _| Said::Nothing(code)).await;
        let (names, _files) = machine(&server, "search corp.test", "");
        assert_eq!(names.addresses("peers", Family::V4).await.unwrap(), NOBODY);
        let mut asked = server.asked();
        asked.sort();
        assert_eq!(asked, ["peers.", "peers.corp.test."]);
    }
}

#[tokio::test]
async fn names_are_completed_as_the_machine_says() {
    let server = Server::start(|name, kind, _| match (name, kind) {
        ("a.b.one.test.", RecordType::A) => Said::Records(vec![a(1)]),
        ("c.d.two.test.", RecordType::A) => Said::Records(vec![a(2)]),
        ("e.f.", RecordType::A) => Said::Records(vec![a(3)]),
        ("g.h.one.test.", RecordType::A) => Said::Records(vec![a(4)]),
        ("g.h.two.test." | "g.h.", RecordType::A) => Said::Records(vec![a(5)]),
        _ => nothing(),
    });
    let server = server.await;
    let (names, _files) = machine(&server, "search one.test two.test\noptions ndots:2", "");
    for (name, found) in [("a.b", ip(1)), ("c.d", ip(2)), ("e.f", ip(3)), ("g.h", ip(4))] {
        assert_eq!(names.addresses(name, Family::V4).await.unwrap(), [found], "{name}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_answered_for_does_not_hide_another_that_may_be_meant() {
    let server = Server::start(|name, kind, _| match (name, kind) {
        ("peers.silent.test." | "peers.mute.test.", _) => Said::Silence,
        ("peers.own.test.", RecordType::A) => Said::Records(vec![a(1)]),
        _ => nothing(),
    });
    let server = server.await;
    let (names, _files) = machine(&server, "search silent.test mute.test own.test", "");
    let answer = timeout(super::super::discovery::LOOKUP_TIMEOUT, async {
        names.addresses("peers", Family::V4).await
    });
    assert_eq!(answer.await.expect("in time").unwrap(), [ip(1)]);
}

#[tokio::test]
async fn a_full_name_is_not_completed_and_the_targets_of_a_service_are_full() {
    let server = Server::start(|name, kind, _| match (name, kind) {
        ("_peer._tcp.test.", RecordType::SRV) => {
            let target = |name: &str| Name::from_utf8(name).unwrap();
            let srv = |name| RData::SRV(SRV::new(0, 0, 7, target(name)));
            Said::Records(vec![srv("a.test."), srv(".")])
        }
        ("a.test.corp.test.", _) => Said::Records(vec![a(66)]),
        _ => nothing(),
    });
    let server = server.await;
    let (names, _files) = machine(&server, "search corp.test\noptions ndots:5", "");
    let targets = names.services("_peer._tcp.test.").await.unwrap();
    assert_eq!(targets, [Target { host: "a.test.".into(), port: 7 }]);
    assert_eq!(names.addresses("a.test.", Family::V4).await.unwrap(), NOBODY);
    assert_eq!(server.asked(), ["_peer._tcp.test.", "a.test."]);
}

#[tokio::test]
async fn what_the_hosts_file_knows_is_asked_of_nobody_else() {
    let server = Server::start(|_, _, _| Said::Nothing(ResponseCode::ServFail)).await;
    let hosts = "192.0.2.7 promgate-b promgate-c # ours\n2001:db8::7 promgate-c\n";
    let (names, _files) = machine(&server, "search a.test b.test\noptions ndots:5", hosts);
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    for (name, v6) in [("promgate-b", vec![]), ("Promgate-C", vec![v6])] {
        assert_eq!(names.addresses(name, Family::V4).await.unwrap(), [ip(7)]);
        assert_eq!(names.addresses(name, Family::V6).await.unwrap(), v6);
    }
    assert_eq!(server.asked(), [""; 0]);
    assert!(names.addresses("promgate-d", Family::V4).await.is_err());
}

#[tokio::test]
async fn of_chosen_servers_those_count_that_know_something() {
    let knows = Server::start(|name, kind, _| match (name, kind) {
        ("peers.test.", RecordType::A) => Said::Records(vec![a(1)]),
        _ => nothing(),
    });
    let fails = Server::start(|_, _, _| Said::Nothing(ResponseCode::ServFail)).await;
    let (empty, knows) = (Server::start(|_, _, _| nothing()).await, knows.await);
    let names = chosen([&empty, &fails, &knows]);
    for _ in 0..8 {
        assert_eq!(names.addresses("peers.test", Family::V4).await.unwrap(), [ip(1)]);
    }
    assert_eq!(names.addresses("peers.test", Family::V6).await.unwrap(), NOBODY);
    assert_eq!(names.addresses("others.test", Family::V4).await.unwrap(), NOBODY);
    let names = chosen([&fails]);
    assert!(names.addresses("peers.test", Family::V4).await.is_err());
}

#[tokio::test]
async fn chosen_servers_are_asked_by_tcp_where_answers_are_whole() {
    // As Consul does, which shows a few of many addresses in a datagram and does not say that there are more.
    let server = Server::start(|_, kind, by| match (kind, by) {
        (RecordType::A, By::Udp) => Said::Records(vec![a(1)]),
        (RecordType::A, By::Tcp) => Said::Records((1..=60).map(a).collect()),
        _ => nothing(),
    });
    let server = server.await;
    let found = chosen([&server]).addresses("peers.test", Family::V4).await.unwrap();
    assert_eq!(found.len(), 60);
    let server = Server::without_tcp(|_, kind, _| {
        if kind == RecordType::A { Said::Records(vec![a(1)]) } else { nothing() }
    });
    let server = server.await;
    let names = chosen([&server]);
    assert_eq!(names.addresses("peers.test", Family::V4).await.unwrap(), [ip(1)]);
    assert_eq!(names.addresses("peers.test", Family::V6).await.unwrap(), NOBODY);
}

#[tokio::test]
async fn a_silent_server_does_not_hide_what_another_says() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let empty = Server::start(|_, _, _| nothing()).await;
    let names = NameServers::new(&[silent.local_addr().unwrap(), empty.address]);
    let answer = timeout(super::super::discovery::LOOKUP_TIMEOUT, async {
        names.addresses("peers.test", Family::V4).await
    });
    assert_eq!(answer.await.expect("in time").unwrap(), NOBODY);
}
