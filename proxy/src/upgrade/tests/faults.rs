//! The other side hangs, lies, babbles or leaves.

use std::{
    fs::File,
    io::{IoSlice, Write},
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::net::{UnixListener, UnixStream};

use super::*;

/// What the other side has for each answer. Whoever answers here does so at once.
const STEP: Duration = Duration::from_secs(1);

/// Whether an error is the one that is expected.
type Wanted = fn(&UpgradeError) -> bool;

fn frame(json: &str) -> Vec<u8> {
    let mut frame = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(json.as_bytes());
    frame
}

fn hello(listeners: &str) -> Vec<u8> {
    frame(&format!("{{\"promgate_upgrade\":1,\"listeners\":{listeners}}}"))
}

/// What the new process makes of who comes with `bytes` and `descriptors`, and then stays if `stays`.
async fn visited(bytes: &[u8], descriptors: &[BorrowedFd<'_>], stays: bool) -> UpgradeError {
    let (_folder, path) = place();
    let (waited, _stream) = tokio::join!(Inherited::wait_in_steps(&path, STEP, STEP), async {
        let stream = StdUnixStream::connect(&path).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(250))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        let bytes = [IoSlice::new(bytes)];
        rustix::net::sendmsg(&stream, &bytes, &mut control, SendFlags::NOSIGNAL).unwrap();
        stays.then_some(stream)
    });
    waited.unwrap_err()
}

/// How many descriptors of this process stand for the same open socket.
fn copies_of(socket: BorrowedFd<'_>) -> usize {
    let inode = rustix::fs::fstat(socket).unwrap().st_ino;
    let link = PathBuf::from(format!("socket:[{inode}]"));
    let all = fs::read_dir("/proc/self/fd").unwrap();
    all.filter(|entry| {
        entry.as_ref().is_ok_and(|e| fs::read_link(e.path()).ok().as_ref() == Some(&link))
    })
    .count()
}

#[tokio::test]
async fn who_comes_and_hangs_is_not_waited_for() {
    let greeting = hello("[]");
    for part in [0, 3, 4, greeting.len() - 1] {
        let error = visited(&greeting[..part], &[], true).await;
        assert!(matches!(error, UpgradeError::Late), "{part}: {error:?}");
    }
}

#[tokio::test]
async fn who_leaves_before_a_word_does_not_count_and_in_the_middle_of_one_it_does() {
    let error = visited(&[], &[], false).await;
    assert!(matches!(error, UpgradeError::NobodyCame), "{error:?}");
    for part in [1, 4, 20] {
        let error = visited(&hello("[]")[..part], &[], false).await;
        assert!(matches!(error, UpgradeError::Closed), "{part}: {error:?}");
    }
}

#[tokio::test]
async fn a_hello_that_is_none_is_refused() {
    for json in
        ["", "{}", "hello", "[1]", "{\"promgate_upgrade\":\"1\"}", "{\"promgate_upgrade\":1}"]
    {
        let error = visited(&frame(json), &[], true).await;
        assert!(matches!(error, UpgradeError::Malformed), "{json}: {error:?}");
    }
    let error = visited(b"GET / HTTP/1.1\r\n\r\n", &[], true).await;
    assert!(matches!(error, UpgradeError::TooLarge { .. }), "{error:?}");
    let error = visited(&4097_u32.to_be_bytes(), &[], true).await;
    assert!(matches!(error, UpgradeError::TooLarge { bytes: 4097 }), "{error:?}");
}

#[tokio::test]
async fn sockets_that_are_too_many_are_all_closed() {
    let (listener, _address) = listening();
    let names = |count| hello(&serde_json::to_string(&vec!["mcp"; count]).unwrap());
    for count in [9, 10, 12, 250] {
        let error = visited(&names(count), &vec![listener.as_fd(); count], true).await;
        assert!(matches!(error, UpgradeError::TooManyListeners), "{count}: {error:?}");
        assert_eq!(copies_of(listener.as_fd()), 1, "{count}");
    }
    let (_folder, path) = place();
    let handed = [("mcp", listener.as_fd()); 9];
    let waiting = Inherited::wait_in_steps(&path, STEP, STEP);
    let (_waited, error) = tokio::join!(waiting, Successor::connect(&path, &handed));
    assert!(matches!(error, Err(UpgradeError::TooManyListeners)), "{error:?}");
}

#[tokio::test]
async fn sockets_that_do_not_fit_their_names_are_all_closed() {
    let (listener, address) = listening();
    let connected = TcpStream::connect(address).await.unwrap();
    let file = File::open("/dev/null").unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let others = [connected.as_fd(), file.as_fd(), unix.as_fd(), udp.as_fd()];
    let mut handed = vec![vec![], vec![listener.as_fd(), listener.as_fd(), listener.as_fd()]];
    handed.extend(others.map(|other| vec![listener.as_fd(), other]));
    for (case, descriptors) in handed.iter().enumerate() {
        let error = visited(&hello("[\"mcp\",\"admin\"]"), descriptors, true).await;
        assert!(matches!(error, UpgradeError::Listeners), "{case}: {error:?}");
        assert_eq!(copies_of(listener.as_fd()), 1, "{case}");
    }
}

#[tokio::test]
async fn sockets_that_come_later_than_the_hello_are_closed() {
    let (listener, _address) = listening();
    let (_folder, path) = place();
    let (inherited, stream) = tokio::join!(Inherited::wait(&path, PATIENCE), async {
        let mut stream = StdUnixStream::connect(&path).unwrap();
        stream.write_all(&hello("[]")).unwrap();
        stream
    });
    let mut news = inherited.unwrap().into_news();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [listener.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let message = frame("{\"message\":\"ready\"}");
    let bytes = [IoSlice::new(&message)];
    rustix::net::sendmsg(&stream, &bytes, &mut control, SendFlags::NOSIGNAL).unwrap();
    assert_eq!(heard(&mut news).await, Some(json(&Message::Ready)));
    assert_eq!(copies_of(listener.as_fd()), 1);
}

#[tokio::test]
async fn another_version_is_refused_and_both_say_why() {
    // Of a later version, all but the number may be different.
    let error = visited(&frame("{\"promgate_upgrade\":2,\"sockets\":{}}"), &[], true).await;
    assert!(matches!(error, UpgradeError::Version { theirs: 2, ours: 1 }), "{error:?}");
    let error = answered(&frame("{\"refused\":{\"version\":2}}"), true).await;
    assert!(matches!(error, UpgradeError::Version { theirs: 2, ours: 1 }), "{error:?}");
}

/// A new process that only says `answer` to the hello, and then stays if `stays`: what the old one makes
/// of it. Its socket serves as before.
async fn answered(answer: &[u8], stays: bool) -> UpgradeError {
    let (_folder, path) = place();
    let door = UnixListener::bind(&path).unwrap();
    let (listener, address) = listening();
    let handed = [("mcp", listener.as_fd())];
    let (connected, _stream) =
        tokio::join!(Successor::connect_in_steps(&path, &handed, STEP), async {
            let (mut stream, _from) = door.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stays.then_some(stream)
        });
    let visitor = TcpStream::connect(address).await.unwrap();
    let (mut stream, _from) = listener.accept().unwrap();
    stream.write_all(b"old").unwrap();
    drop(stream);
    assert_eq!(told(visitor).await, "old");
    connected.unwrap_err()
}

#[tokio::test]
async fn the_old_process_goes_on_when_the_new_one_does_not_welcome_it() {
    let error = answered(b"", true).await;
    assert!(matches!(error, UpgradeError::Late), "{error:?}");
    let error = answered(b"\0\0", false).await;
    assert!(matches!(error, UpgradeError::Closed), "{error:?}");
    let error = answered(&frame("welcome"), true).await;
    assert!(matches!(error, UpgradeError::Malformed), "{error:?}");
    let error = answered(&u32::MAX.to_be_bytes(), true).await;
    assert!(matches!(error, UpgradeError::TooLarge { .. }), "{error:?}");
    for early in ["\"took\"", "\"serving\""] {
        let error = answered(&frame(early), true).await;
        assert!(matches!(error, UpgradeError::OutOfTurn), "{early}: {error:?}");
    }
}

/// An old process after the hello, before a raw new one.
async fn old_before_raw() -> (Successor, UnixStream) {
    let (_folder, path) = place();
    let door = UnixListener::bind(&path).unwrap();
    let (successor, stream) = tokio::join!(Successor::connect_in_steps(&path, &[], STEP), async {
        let (mut stream, _from) = door.accept().await.unwrap();
        stream.write_all(&frame("\"welcome\"")).await.unwrap();
        let mut heard = vec![0; hello("[]").len()];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, hello("[]"));
        stream
    });
    (successor.unwrap(), stream)
}

#[tokio::test]
async fn after_a_fault_of_the_new_process_everything_fails_at_once() {
    let cases: [(&[u8], bool, Wanted); 5] = [
        (b"", true, |error| matches!(error, UpgradeError::Late)),
        (b"", false, |error| matches!(error, UpgradeError::Closed)),
        (b"\0\0\0\x01?", true, |error| matches!(error, UpgradeError::Malformed)),
        (b"\0\0\x10\x01", true, |error| matches!(error, UpgradeError::TooLarge { bytes: 4097 })),
        (b"\0\0\0\x09\"welcome\"", true, |error| matches!(error, UpgradeError::OutOfTurn)),
    ];
    for (answer, stays, wanted) in cases {
        let (successor, mut stream) = old_before_raw().await;
        let message = ended("a");
        let (sent, _stream) = tokio::join!(successor.send(&message), async {
            let mut length = [0; 4];
            stream.read_exact(&mut length).await.unwrap();
            let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap();
            stream.read_exact(&mut vec![0; bytes]).await.unwrap();
            stream.write_all(answer).await.unwrap();
            stays.then_some(stream)
        });
        let error = sent.unwrap_err();
        assert!(wanted(&error), "{error:?}");
        let error = successor.send(&message).await.unwrap_err();
        assert!(matches!(error, UpgradeError::Closed), "{error:?}");
        let error = successor.wait_until_serving(PATIENCE).await.unwrap_err();
        assert!(matches!(error, UpgradeError::Closed), "{error:?}");
    }
}

#[tokio::test]
async fn an_acknowledgement_of_nothing_ends_the_handover() {
    let (successor, mut stream) = old_before_raw().await;
    let (yielded, ()) = tokio::join!(successor.wait_until_serving(PATIENCE), async {
        stream.write_all(&frame("\"took\"")).await.unwrap();
    });
    assert!(matches!(yielded, Err(UpgradeError::OutOfTurn)), "{yielded:?}");
}

#[tokio::test]
async fn a_new_process_that_never_serves_is_given_up_and_cannot_serve_later() {
    let (mut news, successor) = talking().await;
    let (ready, ()) = tokio::join!(successor.send(&Message::Ready), async {
        heard(&mut news).await;
    });
    ready.unwrap();
    let yielded = successor.wait_until_serving(SHORT).await;
    assert!(matches!(yielded, Err(UpgradeError::Late)), "{yielded:?}");
    let serving = news.serving().await;
    assert!(matches!(serving, Err(UpgradeError::Closed)), "{serving:?}");
}

#[tokio::test]
async fn an_old_process_that_has_given_the_wait_up_does_not_yield() {
    let (mut news, successor) = talking().await;
    let (ready, ()) = tokio::join!(successor.send(&Message::Ready), async {
        heard(&mut news).await;
    });
    ready.unwrap();
    assert!(tokio::time::timeout(SHORT, successor.wait_until_serving(PATIENCE)).await.is_err());
    let serving = news.serving().await;
    assert!(matches!(serving, Err(UpgradeError::Closed)), "{serving:?}");
}

#[tokio::test]
async fn a_process_that_dies_half_way_is_noticed() {
    let (mut news, successor) = talking().await;
    let (sent, _heard) =
        tokio::join!(async { successor.send(&ended("a")).await }, heard(&mut news));
    sent.unwrap();
    drop(successor);
    assert!(
        matches!(news.next().await, Err(UpgradeError::Closed)),
        "the old one, before all was sent"
    );

    let (mut news, successor) = talking().await;
    handed_over(&mut news, &successor).await;
    drop(successor);
    assert!(matches!(news.next().await, Err(UpgradeError::Closed)), "the old one, while it drains");

    let (mut news, successor) = talking().await;
    let (ready, ()) = tokio::join!(successor.send(&Message::Ready), async {
        heard(&mut news).await;
    });
    ready.unwrap();
    drop(news);
    let yielded = successor.wait_until_serving(PATIENCE).await;
    assert!(
        matches!(yielded, Err(UpgradeError::Closed)),
        "the new one, before it serves: {yielded:?}"
    );
}

/// A new process after the hello, before a raw old one.
async fn new_before_raw() -> (News, UnixStream) {
    let (_folder, path) = place();
    let (inherited, stream) =
        tokio::join!(Inherited::wait_in_steps(&path, PATIENCE, STEP), async {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(&hello("[]")).await.unwrap();
            stream
        });
    (inherited.unwrap().into_news(), stream)
}

#[tokio::test]
async fn messages_that_are_none_end_the_handover() {
    let (mut news, _stream) = new_before_raw().await;
    assert!(matches!(news.next().await, Err(UpgradeError::Late)), "nothing comes");
    let cases: [(Vec<u8>, Wanted); 5] = [
        (frame("{\"message\":{\"sessions\":[[\"canary\"]]}}"), |error| {
            matches!(error, UpgradeError::Malformed)
        }),
        (frame("{\"message\":{\"canary\":[]}}"), |error| matches!(error, UpgradeError::Malformed)),
        ((8_u32 << 20 | 1).to_be_bytes().to_vec(), |error| {
            matches!(error, UpgradeError::TooLarge { bytes: 8_388_609 })
        }),
        (frame("\"yields\""), |error| matches!(error, UpgradeError::OutOfTurn)),
        (frame("{\"message\":\"done\"}"), |error| matches!(error, UpgradeError::OutOfTurn)),
    ];
    for (bytes, wanted) in cases {
        let (mut news, mut stream) = new_before_raw().await;
        stream.write_all(&bytes).await.unwrap();
        let error = news.next().await.unwrap_err();
        assert!(wanted(&error), "{error:?}");
        assert!(!format!("{error:?}{error}").contains("canary"));
    }
}

#[tokio::test]
async fn an_old_process_that_does_not_yield_is_not_replaced() {
    let (mut news, mut stream) = new_before_raw().await;
    stream.write_all(&frame("{\"message\":\"ready\"}")).await.unwrap();
    heard(&mut news).await;
    let serving = news.serving().await;
    assert!(matches!(serving, Err(UpgradeError::Late)), "{serving:?}");

    let (mut news, mut stream) = new_before_raw().await;
    for message in ["\"ready\"", "{\"ended\":[]}", "{\"ended\":[]}"] {
        stream.write_all(&frame(&format!("{{\"message\":{message}}}"))).await.unwrap();
    }
    heard(&mut news).await;
    let serving = news.serving().await;
    assert!(matches!(serving, Err(UpgradeError::OutOfTurn)), "two without an answer: {serving:?}");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_sent_and_breaks_nothing() {
    let (mut news, successor) = talking().await;
    let saved = serde_json::value::to_raw_value(&"x".repeat(8 << 20)).unwrap();
    let error =
        successor.send(&Message::Sessions(vec![("a".to_owned(), saved)])).await.unwrap_err();
    assert!(matches!(error, UpgradeError::TooLarge { .. }), "{error:?}");
    let small = ended("a");
    let (sent, arrived) = tokio::join!(successor.send(&small), heard(&mut news));
    sent.unwrap();
    assert_eq!(arrived, Some(json(&small)));
}

#[tokio::test]
async fn the_sockets_of_a_handover_that_is_given_up_are_closed() {
    let (listener, _address) = listening();
    let (_folder, path) = place();
    let (inherited, successor) = met(&path, &[("mcp", listener.as_fd())]).await;
    assert_eq!(copies_of(listener.as_fd()), 2);
    drop(inherited);
    assert_eq!(copies_of(listener.as_fd()), 1);
    let (inherited, _successor) = met(&path, &[("mcp", listener.as_fd())]).await;
    let _news = inherited.into_news();
    assert_eq!(copies_of(listener.as_fd()), 1, "nobody has taken it");
    drop((successor, OwnedFd::from(listener)));
}

#[tokio::test]
async fn words_are_heard_however_they_are_cut() {
    let (_folder, path) = place();
    let words =
        [hello("[]"), frame("{\"message\":{\"ended\":[\"a\"]}}"), frame("{\"message\":\"ready\"}")];
    for bytes_each in [1, 2, 3, 5, 7, 11, 1000] {
        let (messages, ()) = tokio::join!(
            async {
                let mut news = Inherited::wait(&path, PATIENCE).await.unwrap().into_news();
                [heard(&mut news).await.unwrap(), heard(&mut news).await.unwrap()]
            },
            async {
                let mut stream = UnixStream::connect(&path).await.unwrap();
                // All at once, too: an old process that does not wait for its answers is understood.
                for part in words.concat().chunks(bytes_each) {
                    stream.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                stream.read_to_end(&mut Vec::new()).await.unwrap();
            }
        );
        assert_eq!(messages, [json(&ended("a")), json(&Message::Ready)]);
    }
}
