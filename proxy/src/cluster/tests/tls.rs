//! Replicas that show each other certificates.

use std::{fs, path::Path, process::Command};

use mcp_core::secret::Secret;
use tempfile::TempDir;

use super::*;
use crate::config::ClusterTls;

/// A new key without a password.
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// An authority, and what it issues.
struct Authority(TempDir);

fn openssl(folder: &Path, arguments: &[&str]) {
    let made = Command::new("openssl").current_dir(folder).args(arguments).output();
    let made = made.expect("openssl is there: run `make setup-test`");
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = vec!["req", "-x509", "-days", "2", "-subj", "/CN=ca"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-keyout", "ca.key", "-out", "ca.pem"]);
        openssl(folder.path(), &arguments);
        Self(folder)
    }

    /// Settings with a certificate for `name`, which believe `trusted`.
    fn settings(&self, name: &str, trusted: &Self, server_name: Option<&str>) -> ClusterTls {
        let issued = self.issue(name, "", "2");
        let ca_pem = fs::read(trusted.0.path().join("ca.pem")).unwrap().into();
        ClusterTls { ca_pem, server_name: server_name.map(str::to_owned), ..issued }
    }

    /// Settings with a certificate for `name`, with these extensions, good for so many days, which believe this authority.
    fn issue(&self, name: &str, extensions: &str, days: &str) -> ClusterTls {
        let folder = self.0.path();
        let mut arguments = vec!["req", "-new", "-subj", "/CN=replica"];
        arguments.extend(NEW_KEY);
        arguments.extend(["-keyout", "leaf.key", "-out", "leaf.csr"]);
        openssl(folder, &arguments);
        let extensions = format!("subjectAltName={name}\nbasicConstraints=CA:FALSE\n{extensions}");
        fs::write(folder.join("leaf.ext"), extensions).unwrap();
        let mut arguments = vec!["x509", "-req", "-days", days, "-in", "leaf.csr", "-CA", "ca.pem"];
        arguments.extend(["-CAkey", "ca.key", "-CAcreateserial", "-extfile", "leaf.ext"]);
        arguments.extend(["-out", "leaf.pem"]);
        openssl(folder, &arguments);
        let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
        ClusterTls {
            cert_pem: read(folder, "leaf.pem").into(),
            key_pem: Secret::new(String::from_utf8(read(folder, "leaf.key")).unwrap()),
            ca_pem: read(folder, "ca.pem").into(),
            server_name: None,
        }
    }
}

/// The settings, which believe both authorities.
fn trusting_both(tls: &ClusterTls, one: &ClusterTls, other: &ClusterTls) -> ClusterTls {
    ClusterTls { ca_pem: [&*one.ca_pem, &*other.ca_pem].concat().into(), ..tls.clone() }
}

/// Two replicas with these settings, after each has asked the other a few times.
async fn two(first: ClusterTls, second: ClusterTls) -> (Replica, Replica) {
    let (a, b) = (Listener::bind(), Listener::bind());
    let all = [a.address.to_string(), b.address.to_string()];
    let (a, b) = (Replica::with_tls(a, &all, first), Replica::with_tls(b, &all, second));
    let asked = |replica: &Replica| *replica.cluster.published.settled.borrow();
    until(PATIENCE, || asked(&a) && asked(&b)).await;
    tokio::time::sleep(replica::INTERVAL * 5).await;
    (a, b)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_with_certificates_of_one_authority_form_a_cluster() {
    let ca = Authority::new();
    let by_address = || ca.settings("IP:127.0.0.1", &ca, None);
    let (a, b) = two(by_address(), by_address()).await;
    until(PATIENCE, || agree(&[&a, &b])).await;
    let peer = a.cluster.peer(&b.name).unwrap();
    assert_eq!(peer.sni, "127.0.0.1", "never empty: that would check nothing");
    assert!(peer.is_tls() && peer.client_cert_key.is_some() && peer.options.ca.is_some());
    assert!(peer.options.verify_cert && peer.options.verify_hostname);
    let by_name = || ca.settings("DNS:replica.test", &ca, Some("replica.test"));
    let (a, b) = two(by_name(), by_name()).await;
    until(PATIENCE, || agree(&[&a, &b])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_authority_lets_nobody_in() {
    let (ca, other) = (Authority::new(), Authority::new());
    // The stranger believes our certificates, so only ours can refuse the connection.
    let ours = ca.settings("IP:127.0.0.1", &ca, None);
    let theirs = other.settings("IP:127.0.0.1", &other, None);
    let (a, b) = two(ours.clone(), trusting_both(&theirs, &ours, &theirs)).await;
    assert_eq!(
        (b.asked_by(&a.name), a.asked_by(&b.name)),
        (0, 0),
        "no question got through a handshake"
    );
    assert!(a.cluster.peer(&b.name).is_none() && b.cluster.peer(&a.name).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_not_taken() {
    let ca = Authority::new();
    let both = ca.settings("DNS:replica.test,DNS:other.test", &ca, Some("other.test"));
    let (a, b) = two(both, ca.settings("DNS:replica.test", &ca, Some("replica.test"))).await;
    assert!(a.cluster.peer(&b.name).is_none(), "its certificate is for another name");
    assert!(b.cluster.peer(&a.name).is_some(), "ours is for both");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_nobody_gets_through() {
    let ca = Authority::new();
    let (a, _b) =
        two(ca.settings("IP:127.0.0.1", &ca, None), ca.settings("IP:127.0.0.1", &ca, None)).await;
    let with_tls = Listener::bind();
    let all = [a.address.to_string(), with_tls.address.to_string()];
    let plain = Replica::start(with_tls, &all);
    tokio::time::sleep(replica::INTERVAL * 6).await;
    assert!(plain.cluster.peer(&a.name).is_none());
    assert_eq!(a.asked_by(&plain.name), 0);
    let membership = a.cluster.membership();
    assert!(membership.nodes.iter().all(|node| node.name.as_ref() != Some(&plain.name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_while_replicas_run_and_bad_ones_change_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    let of = |authority: &Authority| authority.settings("IP:127.0.0.1", authority, None);
    let (of_old, of_new) = (of(&old), of(&new));
    let trusting_both = |tls: &ClusterTls| trusting_both(tls, &of_old, &of_new);
    let (a, b) = two(of_old.clone(), of_old.clone()).await;
    until(PATIENCE, || agree(&[&a, &b])).await;
    let broken = ClusterTls { cert_pem: broken_certificate().into(), ..of_new.clone() };
    let unbelieved = ClusterTls { ca_pem: Arc::clone(&of_old.ca_pem), ..of_new.clone() };
    for bad in [broken, unbelieved, old.issue("IP:127.0.0.1", "", "-1")] {
        assert!(a.cluster.recertify(&bad).await.is_err());
    }
    assert_eq!(a.cluster.peer(&b.name).unwrap().group_key, 0, "nothing was replaced");
    let version = a.cluster.membership().ring.version();
    let mut changed = a.cluster.changed();
    changed.mark_unchanged();
    for step in [trusting_both(&of_old), trusting_both(&of_new), of_new.clone()] {
        for replica in [&a, &b] {
            replica.cluster.recertify(&step).await.unwrap();
            let (before_a, before_b) = (a.asked_by(&b.name), b.asked_by(&a.name));
            let asked_again = || a.asked_by(&b.name) > before_a && b.asked_by(&a.name) > before_b;
            until(PATIENCE, asked_again).await;
        }
    }
    assert!(!changed.has_changed().unwrap(), "nobody was ever away");
    assert_eq!(b.cluster.membership().ring.version(), version);
    // Who has a certificate of the old authority is a stranger now.
    let late = Listener::bind();
    let all = [a.address, b.address, late.address].map(|address| address.to_string());
    let late = Replica::with_tls(late, &all, of_old);
    tokio::time::sleep(replica::INTERVAL * 6).await;
    assert_eq!((a.asked_by(&late.name), b.asked_by(&late.name)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_others_do_not_believe_yet_costs_nobody_and_is_used_once_they_do() {
    let (old, new) = (Authority::new(), Authority::new());
    let of = |authority: &Authority| authority.settings("IP:127.0.0.1", authority, None);
    let (of_old, of_new) = (of(&old), of(&new));
    let (a, b) = two(of_old.clone(), of_old.clone()).await;
    until(PATIENCE, || agree(&[&a, &b])).await;
    let mut changed = a.cluster.changed();
    changed.mark_unchanged();
    // It believes both, and shows what the other does not believe.
    a.cluster.recertify(&trusting_both(&of_new, &of_old, &of_new)).await.unwrap();
    let asked = b.asked_by(&a.name);
    until(PATIENCE, || b.asked_by(&a.name) > asked + 10).await;
    assert!(agree(&[&a, &b]) && !changed.has_changed().unwrap(), "the old connection is used");
    assert_eq!(a.cluster.peer(&b.name).unwrap().group_key, 0, "for requests too");

    b.cluster.recertify(&trusting_both(&of_old, &of_old, &of_new)).await.unwrap();
    let is_new =
        |one: &Replica, other: &Replica| one.cluster.peer(&other.name).unwrap().group_key == 1;
    until(PATIENCE, || is_new(&a, &b) && is_new(&b, &a)).await;
    assert!(!changed.has_changed().unwrap(), "nobody was ever away");
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let ca = Authority::new();
    let good = ca.settings("IP:127.0.0.1", &ca, None);
    assert!(Certificates::read(&good).is_ok());
    let other_key = ca.settings("IP:127.0.0.1", &ca, None).key_pem;
    let faults = [
        ClusterTls { cert_pem: (*b"nothing").into(), ..good.clone() },
        ClusterTls { ca_pem: (*b"").into(), ..good.clone() },
        ClusterTls { key_pem: Secret::new("nothing"), ..good.clone() },
        ClusterTls { key_pem: other_key, ..good.clone() },
        ClusterTls { cert_pem: broken_certificate().into(), ..good.clone() },
        ClusterTls { ca_pem: broken_certificate().into(), ..good.clone() },
        ClusterTls { server_name: Some("replica.test".to_owned()), ..good.clone() },
        ClusterTls { server_name: Some("no name".to_owned()), ..good.clone() },
        Authority::new().settings("IP:127.0.0.1", &ca, None),
        ca.issue("IP:127.0.0.1", "", "-1"),
        ca.issue("IP:127.0.0.1", "extendedKeyUsage=serverAuth\n", "2"),
        ca.issue("IP:127.0.0.1", "extendedKeyUsage=clientAuth\n", "2"),
    ];
    let for_both = ca.issue("IP:127.0.0.1", "extendedKeyUsage=serverAuth,clientAuth\n", "2");
    for tls in [for_both, ClusterTls { server_name: Some("127.0.0.1".to_owned()), ..good }] {
        assert!(Certificates::read(&tls).is_ok());
    }
    for fault in faults {
        let error = Certificates::read(&fault).unwrap_err();
        let shown = crate::telemetry::Chain(&error).to_string();
        assert!(shown.contains("`cluster.tls."), "{shown}");
        assert!(!shown.contains("PRIVATE") && !format!("{error:?}").contains("PRIVATE"));
    }
}

/// PEM around what is no certificate. Pingora would panic over it.
fn broken_certificate() -> Vec<u8> {
    b"-----BEGIN CERTIFICATE-----\nAAAAAAAAAAAAAAAA\n-----END CERTIFICATE-----\n".to_vec()
}
