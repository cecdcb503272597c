use std::{collections::HashMap, fs, net::IpAddr};

use parking_lot::Mutex;

use super::*;

/// Names that a test may change. A name that is not there cannot be looked up.
#[derive(Default, Clone)]
struct Book(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    hosts: HashMap<String, Vec<IpAddr>>,
    services: HashMap<String, Vec<Target>>,
    /// Whether nobody answers for addresses of IPv6.
    no_v6: bool,
}

impl Names for Book {
    async fn addresses(&self, host: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let entries = self.0.lock();
        let found = entries.hosts.get(host).filter(|_| family == Family::V4 || !entries.no_v6);
        let mut found = found.cloned().ok_or(LookupError::Slow)?;
        found.retain(|address| address.is_ipv4() == (family == Family::V4));
        Ok(found)
    }

    async fn services(&self, name: &str) -> Result<Vec<Target>, LookupError> {
        self.0.lock().services.get(name).cloned().ok_or(LookupError::Slow)
    }
}

impl Book {
    fn host(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().hosts.insert(name.to_owned(), addresses);
    }

    fn service(&self, name: &str, targets: &[&str]) {
        let targets = targets.iter().map(|target| Target::parse(target).unwrap()).collect();
        self.0.lock().services.insert(name.to_owned(), targets);
    }

    fn forget(&self) {
        *self.0.lock() = Entries::default();
    }
}

fn shown(look: &Look) -> Vec<String> {
    look.found.iter().map(|found| format!("{} {}", found.address, found.host)).collect()
}

fn fixed(listed: &[&str]) -> Peers {
    Peers::Static(listed.iter().map(|&text| text.to_owned()).collect())
}

fn of_name() -> Peers {
    let (name, interval) = ("promgate.test".into(), Duration::from_secs(1));
    Peers::Dns { name, port: 7, interval, servers: Vec::new() }
}

fn of_service() -> Peers {
    let (name, interval) = ("_peer._tcp.test".into(), Duration::from_secs(1));
    Peers::Srv { name, interval, servers: Vec::new() }
}

#[tokio::test]
async fn names_of_a_fixed_list_are_looked_up_each_time() {
    let book = Book::default();
    book.host("a.test", &["192.0.2.1"]);
    let peers = fixed(&["a.test:1", "192.0.2.9:2", "[2001:db8::1]:3"]);
    let mut discovery = Discovery::new(peers, book.clone());
    let first = discovery.look().await;
    assert_eq!(
        shown(&first),
        ["192.0.2.1:1 a.test", "192.0.2.9:2 192.0.2.9", "[2001:db8::1]:3 2001:db8::1"]
    );
    book.host("a.test", &["192.0.2.2", "2001:db8::2"]);
    let second = shown(&discovery.look().await);
    assert!(second.contains(&"192.0.2.2:1 a.test".to_owned()), "{second:?}");
    assert!(second.contains(&"[2001:db8::2]:1 a.test".to_owned()), "{second:?}");
    assert!(!second.contains(&"192.0.2.1:1 a.test".to_owned()), "{second:?}");
}

#[tokio::test]
async fn all_addresses_of_a_name_are_peers_and_a_failed_look_changes_nothing() {
    let book = Book::default();
    book.host("promgate.test", &["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.2"]);
    let mut discovery = Discovery::new(of_name(), book.clone());
    let found = ["192.0.2.1:7 promgate.test", "192.0.2.2:7 promgate.test"];
    assert_eq!(shown(&discovery.look().await), found);
    book.forget();
    assert_eq!(shown(&discovery.look().await), found);
    book.host("promgate.test", &["192.0.2.3"]);
    assert_eq!(shown(&discovery.look().await), ["192.0.2.3:7 promgate.test"]);
}

#[tokio::test]
async fn the_targets_of_a_service_are_looked_up_in_turn() {
    let book = Book::default();
    book.service("_peer._tcp.test", &["a.test:1", "b.test:2"]);
    book.host("a.test", &["192.0.2.1"]);
    book.host("b.test", &["192.0.2.2"]);
    let mut discovery = Discovery::new(of_service(), book.clone());
    let both = ["192.0.2.1:1 a.test", "192.0.2.2:2 b.test"];
    assert_eq!(shown(&discovery.look().await), both);
    // The service is known, one of its targets is not for the moment.
    book.0.lock().hosts.remove("b.test");
    assert_eq!(shown(&discovery.look().await), both);
    book.service("_peer._tcp.test", &["a.test:1"]);
    assert_eq!(shown(&discovery.look().await), ["192.0.2.1:1 a.test"]);
    book.forget();
    assert_eq!(shown(&discovery.look().await), ["192.0.2.1:1 a.test"]);
}

#[tokio::test]
async fn a_name_that_is_known_to_have_no_address_any_more_is_given_up_after_three_looks() {
    let book = Book::default();
    book.host("promgate.test", &["192.0.2.1"]);
    let mut discovery = Discovery::new(of_name(), book.clone());
    let found = ["192.0.2.1:7 promgate.test"];
    assert_eq!(shown(&discovery.look().await), found);
    book.host("promgate.test", &[]);
    for _ in 0..2 {
        assert_eq!(shown(&discovery.look().await), found, "whoever says so may have just started");
    }
    book.forget();
    assert_eq!(shown(&discovery.look().await), found, "nobody says so");
    book.host("promgate.test", &[]);
    for _ in 0..2 {
        assert_eq!(shown(&discovery.look().await), found, "a failure between them breaks the row");
    }
    book.host("promgate.test", &["192.0.2.1"]);
    assert_eq!(shown(&discovery.look().await), found, "it is known again");
    book.host("promgate.test", &[]);
    for _ in 0..2 {
        assert_eq!(shown(&discovery.look().await), found, "and it is counted anew");
    }
    assert_eq!(shown(&discovery.look().await), [""; 0]);
}

#[tokio::test]
async fn a_service_that_is_known_to_have_no_target_any_more_is_given_up_after_three_looks() {
    let book = Book::default();
    book.service("_peer._tcp.test", &["192.0.2.1:1"]);
    let mut discovery = Discovery::new(of_service(), book.clone());
    let found = ["192.0.2.1:1 192.0.2.1"];
    assert_eq!(shown(&discovery.look().await), found);
    book.service("_peer._tcp.test", &[]);
    for _ in 0..2 {
        assert_eq!(shown(&discovery.look().await), found);
    }
    book.forget();
    assert_eq!(shown(&discovery.look().await), found, "nobody says so");
    book.service("_peer._tcp.test", &[]);
    for _ in 0..2 {
        assert_eq!(shown(&discovery.look().await), found, "and it is counted anew");
    }
    assert_eq!(shown(&discovery.look().await), [""; 0]);
    book.service("_peer._tcp.test", &["192.0.2.1:1"]);
    assert_eq!(shown(&discovery.look().await), found);
}

#[tokio::test]
async fn a_look_is_answered_when_all_is_known_and_repeated_soon_until_then() {
    let (book, long) = (Book::default(), Duration::from_secs(30));
    let peers = Peers::Srv { name: "s.test".into(), interval: long, servers: Vec::new() };
    let mut discovery = Discovery::new(peers, book.clone());
    assert!(!discovery.look().await.is_answered, "nobody knows the service");
    book.service("s.test", &[]);
    for _ in 0..2 {
        assert!(!discovery.look().await.is_answered, "nothing is not believed at once");
    }
    book.service("s.test", &["a.test:1", "192.0.2.9:1"]);
    assert!(!discovery.look().await.is_answered, "nobody knows one of its targets");
    book.host("a.test", &[]);
    assert!(!discovery.look().await.is_answered, "nor is this believed at once");
    assert_eq!(discovery.interval(), FIRST_INTERVAL);
    book.host("a.test", &["192.0.2.1"]);
    assert!(discovery.look().await.is_answered);
    assert_eq!(discovery.interval(), long);
    book.forget();
    assert!(!discovery.look().await.is_answered);
    assert_eq!(discovery.interval(), long, "who runs has time");

    let mut discovery = Discovery::new(of_name(), book.clone());
    book.host("promgate.test", &[]);
    for is_believed in [false, false, true, true] {
        assert_eq!(discovery.look().await.is_answered, is_believed);
    }
}

#[tokio::test]
async fn a_full_name_is_asked_for_with_its_dot_and_found_without_it() {
    let book = Book::default();
    book.host("promgate.test.", &["192.0.2.1"]);
    let (name, interval) = ("promgate.test.".into(), Duration::from_secs(1));
    let peers = Peers::Dns { name, port: 7, interval, servers: Vec::new() };
    let mut discovery = Discovery::new(peers, book.clone());
    assert_eq!(shown(&discovery.look().await), ["192.0.2.1:7 promgate.test"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_name_is_told_anew_when_it_changes() {
    let book = Book::default();
    let mut discovery = Discovery::new(of_service(), book.clone());
    discovery.look().await;
    assert_eq!(discovery.told.list, Some(Trouble::Failure));
    book.service("_peer._tcp.test", &[]);
    discovery.look().await;
    assert_eq!(discovery.told.list, Some(Trouble::Nothing));
    book.service("_peer._tcp.test", &["a.test:1"]);
    discovery.look().await;
    assert_eq!(discovery.told.list, None);
    let told = |discovery: &Discovery<Book>| discovery.told.names.values().copied().next();
    assert_eq!(told(&discovery), Some(Trouble::Failure));
    book.host("a.test", &[]);
    discovery.look().await;
    assert_eq!(told(&discovery), Some(Trouble::Nothing));
    book.0.lock().hosts.clear();
    discovery.look().await;
    assert_eq!(told(&discovery), Some(Trouble::Failure));
    book.host("a.test", &["192.0.2.1"]);
    discovery.look().await;
    assert_eq!(told(&discovery), None);
}

#[tokio::test]
async fn addresses_of_one_kind_stay_while_only_those_of_the_other_are_answered() {
    let book = Book::default();
    book.host("promgate.test", &["192.0.2.1", "2001:db8::1"]);
    let mut discovery = Discovery::new(of_name(), book.clone());
    let both = ["192.0.2.1:7 promgate.test", "[2001:db8::1]:7 promgate.test"];
    assert_eq!(shown(&discovery.look().await), both);
    book.0.lock().no_v6 = true;
    book.host("promgate.test", &["192.0.2.2"]);
    let one_new = ["192.0.2.2:7 promgate.test", "[2001:db8::1]:7 promgate.test"];
    assert_eq!(shown(&discovery.look().await), one_new);
    book.0.lock().no_v6 = false;
    assert_eq!(shown(&discovery.look().await), ["192.0.2.2:7 promgate.test"]);
}

#[tokio::test]
async fn a_broken_file_leaves_the_last_good_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers");
    let peers = Peers::File { path: path.clone(), interval: Duration::from_secs(1) };
    let mut discovery = Discovery::new(peers, Book::default());
    assert_eq!(shown(&discovery.look().await), [""; 0], "there is no file yet");
    fs::write(&path, "# ours\n192.0.2.1:1\n\n  192.0.2.2:1  # the second\n").unwrap();
    let both = ["192.0.2.1:1 192.0.2.1", "192.0.2.2:1 192.0.2.2"];
    assert_eq!(shown(&discovery.look().await), both);
    for broken in ["192.0.2.1:1\nno port\n", "a b:1", ":1", "a:0", "a:70000", "[::1:1", "[a]:1"] {
        fs::write(&path, broken).unwrap();
        assert_eq!(shown(&discovery.look().await), both, "{broken}");
    }
    fs::write(&path, "x".repeat(300 << 10)).unwrap();
    assert_eq!(shown(&discovery.look().await), both, "too large");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(shown(&discovery.look().await), both, "no text");
    fs::remove_file(&path).unwrap();
    assert_eq!(shown(&discovery.look().await), both, "gone");
    fs::write(&path, "# nobody\n").unwrap();
    assert_eq!(shown(&discovery.look().await), [""; 0], "an empty list is a list");
}

#[tokio::test]
async fn more_peers_than_may_be_are_cut_and_the_same_ones_each_time() {
    let listed: Vec<String> = (0..400).map(|n| format!("10.0.{}.{}:1", n / 200, n % 200)).collect();
    let mut discovery = Discovery::new(Peers::Static(listed), Book::default());
    let found = discovery.look().await;
    assert_eq!(found.found.len(), PEERS_MAX);
    assert_eq!(discovery.look().await, found);
    assert!(discovery.told.too_many);
}

#[tokio::test]
async fn this_machine_knows_its_own_name_and_not_one_that_cannot_be() {
    let names = super::super::names::NameServers::new(&[]);
    let mut found = names.addresses("localhost", Family::V4).await.unwrap();
    found.extend(names.addresses("localhost", Family::V6).await.unwrap());
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
}
