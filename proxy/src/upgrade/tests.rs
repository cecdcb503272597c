use std::{
    fs,
    net::{SocketAddr, TcpListener as StdTcpListener},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::FutureExt;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Inherited, Message, News, Successor, UpgradeError, batches_of};

mod faults;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);
/// For what is expected not to come.
const SHORT: Duration = Duration::from_millis(200);

/// A folder of its own, and a path in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upgrade.sock");
    (folder, path)
}

fn listening() -> (StdTcpListener, SocketAddr) {
    let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Both ends, after the hello.
async fn met(path: &Path, listeners: &[(&'static str, BorrowedFd<'_>)]) -> (Inherited, Successor) {
    let (inherited, successor) =
        tokio::join!(Inherited::wait(path, PATIENCE), Successor::connect(path, listeners));
    (inherited.unwrap(), successor.unwrap())
}

/// Both ends, after the hello, where sockets do not matter.
async fn talking() -> (News, Successor) {
    let (_folder, path) = place();
    let (inherited, successor) = met(&path, &[]).await;
    (inherited.into_news(), successor)
}

fn sessions(ids: &[&str]) -> Message {
    let saved = |id: &&str| {
        let saved = serde_json::json!({ "of": id, "tools": ["query"] });
        ((*id).to_owned(), serde_json::value::to_raw_value(&saved).unwrap())
    };
    Message::Sessions(ids.iter().map(saved).collect())
}

fn ended(id: &str) -> Message {
    Message::Ended(vec![id.to_owned()])
}

fn json(message: &Message) -> String {
    serde_json::to_string(message).unwrap()
}

/// What comes next, acknowledged.
async fn heard(news: &mut News) -> Option<String> {
    let message = news.next().await.unwrap();
    news.took().await.unwrap();
    message.as_ref().map(json)
}

/// Goes on to where the old process has yielded.
async fn handed_over(news: &mut News, successor: &Successor) {
    let (ready, serving, yielded) = tokio::join!(
        successor.send(&Message::Ready),
        async {
            assert_eq!(heard(news).await, Some(json(&Message::Ready)));
            news.serving().await
        },
        successor.wait_until_serving(PATIENCE)
    );
    ready.unwrap();
    serving.unwrap();
    yielded.unwrap();
}

/// What a server says before it closes.
async fn told(mut stream: TcpStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn sockets_arrive_and_no_connection_is_lost_between_the_two() {
    let (_folder, path) = place();
    let (mcp, mcp_address) = listening();
    let (admin, admin_address) = listening();
    // Connected is queued: nobody has accepted yet.
    let before = TcpStream::connect(mcp_address).await.unwrap();
    let handed = [("mcp", mcp.as_fd()), ("admin", admin.as_fd())];
    let (mut inherited, successor) = met(&path, &handed).await;
    let between = TcpStream::connect(mcp_address).await.unwrap();
    let to_admin = TcpStream::connect(admin_address).await.unwrap();
    drop((mcp, admin, successor));
    let after = TcpStream::connect(mcp_address).await.unwrap();

    assert!(inherited.listener("replicas").is_none());
    for (name, visitors) in [("mcp", 3), ("admin", 1)] {
        let listener = TcpListener::from_std(inherited.listener(name).unwrap()).unwrap();
        for _ in 0..visitors {
            let (mut stream, _from) = listener.accept().await.unwrap();
            stream.write_all(name.as_bytes()).await.unwrap();
        }
    }
    assert!(inherited.listener("mcp").is_none(), "it can be taken once");
    for visitor in [before, between, after] {
        assert_eq!(told(visitor).await, "mcp");
    }
    assert_eq!(told(to_admin).await, "admin");
}

#[tokio::test]
async fn sockets_that_come_do_not_block_and_do_not_outlive_an_exec() {
    let (_folder, path) = place();
    let (mcp, address) = listening();
    let (mut inherited, _successor) = met(&path, &[("mcp", mcp.as_fd())]).await;
    let listener = inherited.listener("mcp").unwrap();
    assert_eq!(listener.local_addr().unwrap(), address);
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let flags = rustix::io::fcntl_getfd(&listener).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

#[tokio::test]
async fn sessions_and_ends_arrive_in_order_and_each_is_acknowledged() {
    let (mut news, successor) = talking().await;
    let first = sessions(&["a", "b"]);
    let mut sent = Box::pin(successor.send(&first));
    let arrived = tokio::select! {
        message = news.next() => message.unwrap().unwrap(),
        sent = &mut sent => panic!("not yet taken: {sent:?}"),
    };
    assert_eq!(json(&arrived), json(&first));
    assert!(tokio::time::timeout(SHORT, &mut sent).await.is_err(), "nothing is acknowledged");
    news.took().await.unwrap();
    sent.await.unwrap();
    let second = ended("a");
    let (sent, arrived) = tokio::join!(successor.send(&second), heard(&mut news));
    sent.unwrap();
    assert_eq!(arrived, Some(json(&second)));

    handed_over(&mut news, &successor).await;
    let late = [sessions(&["c"]), ended("b"), sessions(&[]), ended("c")];
    let (all, arrived) = tokio::join!(
        futures_util::future::join_all(late.iter().map(|message| successor.send(message))),
        async {
            let mut arrived = Vec::new();
            for _ in 0..late.len() {
                arrived.push(heard(&mut news).await.unwrap());
            }
            arrived
        }
    );
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(arrived, late.iter().map(json).collect::<Vec<_>>());

    let (done, end) = tokio::join!(successor.send(&Message::Done), news.next());
    done.unwrap();
    assert!(end.unwrap().is_none());
    drop(successor);
    assert!(news.next().await.unwrap().is_none(), "the end stays the end");
}

#[tokio::test]
async fn a_session_that_opens_while_the_new_process_starts_is_not_lost() {
    let (mut news, successor) = talking().await;
    let opened = sessions(&["opened"]);
    let (ready, ()) = tokio::join!(successor.send(&Message::Ready), async {
        heard(&mut news).await;
    });
    ready.unwrap();
    // The message is on the wire before the new process says that it serves.
    let (sent, yielded, arrived) =
        tokio::join!(successor.send(&opened), successor.wait_until_serving(PATIENCE), async {
            tokio::time::sleep(SHORT).await;
            news.serving().await.unwrap();
            heard(&mut news).await
        });
    sent.unwrap();
    yielded.unwrap();
    assert_eq!(arrived, Some(json(&opened)));
}

#[tokio::test]
async fn the_new_process_may_serve_before_the_old_one_asks() {
    let (mut news, successor) = talking().await;
    let (ready, serving, yielded) = tokio::join!(
        successor.send(&Message::Ready),
        async {
            heard(&mut news).await;
            news.serving().await
        },
        async {
            tokio::time::sleep(SHORT).await;
            successor.wait_until_serving(PATIENCE).await
        }
    );
    ready.unwrap();
    serving.unwrap();
    yielded.unwrap();
}

#[tokio::test]
async fn a_send_or_a_wait_that_is_given_up_leaves_no_half_message() {
    let (mut news, successor) = talking().await;
    // More than the socket's buffer, so that it stops in the middle.
    let saved = serde_json::value::to_raw_value(&"x".repeat(4 << 20)).unwrap();
    let large = Message::Sessions(vec![("large".to_owned(), saved)]);
    assert!(tokio::time::timeout(SHORT, successor.send(&large)).await.is_err());
    assert!(news.next().now_or_never().is_none(), "the reader gives up in the middle too");
    let small = ended("small");
    let (sent, arrived) = tokio::join!(successor.send(&small), async {
        [heard(&mut news).await.unwrap(), heard(&mut news).await.unwrap()]
    });
    sent.unwrap();
    assert_eq!(arrived, [json(&large), json(&small)]);
}

#[tokio::test]
async fn what_the_new_process_does_out_of_turn_is_refused() {
    let (mut news, successor) = talking().await;
    assert!(matches!(news.serving().await, Err(UpgradeError::OutOfTurn)), "nothing has come");
    let (sent, ()) = tokio::join!(successor.send(&Message::Ready), async {
        news.next().await.unwrap();
        assert!(matches!(news.next().await, Err(UpgradeError::OutOfTurn)), "not acknowledged");
        assert!(matches!(news.serving().await, Err(UpgradeError::OutOfTurn)), "the same");
        news.took().await.unwrap();
        news.took().await.unwrap();
    });
    sent.unwrap();
    let (serving, yielded) = tokio::join!(news.serving(), successor.wait_until_serving(PATIENCE));
    serving.unwrap();
    yielded.unwrap();
    assert!(matches!(news.serving().await, Err(UpgradeError::OutOfTurn)), "only once");
}

#[test]
fn messages_show_nothing_of_what_is_in_them() {
    let messages =
        [sessions(&["canary", "canary"]), ended("canary"), Message::Ready, Message::Done];
    assert_eq!(format!("{messages:?}"), "[Sessions(2), Ended(1), Ready, Done]");
}

proptest! {
    #[test]
    fn batches_hold_all_sessions_in_order_and_are_bounded(
        lengths in prop::collection::vec(0_usize..700, 0..40)
    ) {
        const BYTES_MAX: usize = 1000;
        let all: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(index, length)| {
                let saved = serde_json::value::to_raw_value(&"x".repeat(*length)).unwrap();
                (index.to_string(), saved)
            })
            .collect();
        let mut ids = Vec::new();
        let mut batches = 0;
        for batch in batches_of(BYTES_MAX, all) {
            prop_assert!(json(&batch).len() <= BYTES_MAX + 100);
            let Message::Sessions(sessions) = batch else { panic!("{batch:?}") };
            prop_assert!(!sessions.is_empty());
            ids.extend(sessions.into_iter().map(|(id, _saved)| id));
            batches += 1;
        }
        prop_assert_eq!(ids, (0..lengths.len()).map(|id| id.to_string()).collect::<Vec<_>>());
        // Two that follow one another would not fit into one.
        let bytes: usize = lengths.iter().map(|length| length + 12).sum();
        prop_assert!(batches <= 2 * bytes / BYTES_MAX + 1);
    }
}

#[tokio::test]
async fn the_socket_is_for_its_user_alone_and_does_not_stay() {
    let (folder, path) = place();
    let waiting = Inherited::wait(&path, PATIENCE);
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(SHORT, &mut waiting).await.is_err());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let (inherited, successor) = tokio::join!(waiting, Successor::connect(&path, &[]));
    assert!(inherited.is_ok() && successor.is_ok());
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "it is gone once somebody has come"
    );

    let error = Inherited::wait(&path, SHORT).await.unwrap_err();
    assert!(matches!(error, UpgradeError::NobodyCame), "{error:?}");
    assert!(tokio::time::timeout(SHORT, Inherited::wait(&path, PATIENCE)).await.is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nor after nobody has come");
}

#[tokio::test]
async fn a_file_that_has_taken_the_place_of_the_socket_is_not_removed() {
    let (_folder, path) = place();
    let (waited, ()) = tokio::join!(Inherited::wait(&path, SHORT), async {
        fs::remove_file(&path).unwrap();
        fs::write(&path, "of somebody else").unwrap();
    });
    assert!(matches!(waited, Err(UpgradeError::NobodyCame)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "of somebody else");
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced() {
    let (_folder, path) = place();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let error = Successor::connect(&path, &[]).await.unwrap_err();
    assert!(matches!(error, UpgradeError::Connect(_)), "{error:?}");
    met(&path, &[]).await;
}

#[tokio::test]
async fn what_is_not_a_socket_is_left_alone() {
    let (folder, path) = place();
    let file = folder.path().join("precious");
    fs::write(&file, "precious").unwrap();
    let (link, dangling) = (folder.path().join("link"), folder.path().join("dangling"));
    symlink(&file, &link).unwrap();
    symlink(&path, &dangling).unwrap();
    for path in [&file, &link, &dangling, &folder.path().to_owned()] {
        let error = Inherited::wait(path, PATIENCE).await.unwrap_err();
        assert!(matches!(error, UpgradeError::InTheWay), "{}: {error:?}", path.display());
        assert!(fs::symlink_metadata(path).is_ok());
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn a_process_that_waits_already_is_left_to_wait() {
    let (_folder, path) = place();
    let (first, second) = tokio::join!(Inherited::wait(&path, PATIENCE), async {
        // More often than connections fit into the queue.
        for _ in 0..20 {
            let error = Inherited::wait(&path, PATIENCE).await.unwrap_err();
            assert!(matches!(error, UpgradeError::Taken), "{error:?}");
        }
        // The first sees that they were nobody.
        tokio::time::sleep(SHORT).await;
        Successor::connect(&path, &[]).await
    });
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_path_that_cannot_be_a_socket_is_an_error() {
    let (folder, path) = place();
    let long = folder.path().join("x".repeat(200));
    for path in [&long, &path.join("below-nothing")] {
        let error = Inherited::wait(path, PATIENCE).await.unwrap_err();
        assert!(matches!(error, UpgradeError::Listen(_)), "{error:?}");
        let error = Successor::connect(path, &[]).await.unwrap_err();
        assert!(matches!(error, UpgradeError::Connect(_)), "{error:?}");
    }
}
