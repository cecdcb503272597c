use tokio::net::TcpListener;

use super::{
    fake::{Fake, Reaction, response},
    *,
};

fn terms() -> Terms {
    Terms { timeout: Duration::from_mins(1), ..Terms::default() }
}

fn fetcher() -> Fetcher {
    Fetcher::new(&terms(), true).unwrap()
}

async fn fault(fetcher: &Fetcher, url: &str) -> FetchFault {
    fetcher.get(&url.parse().unwrap()).await.unwrap_err().fault
}

#[tokio::test]
async fn a_document_comes_whole_with_its_headers() {
    let fake = Fake::start().await;
    let body = vec![b'x'; DOCUMENT_BYTES_MAX];
    let answer = response("200 OK", "Cache-Control: max-age=7\r\n", &body);
    fake.answer("/jwks", Reaction::Send(answer));
    let fetched = fetcher().get(&fake.url("/jwks")).await.unwrap();
    assert_eq!(fetched.body, body);
    assert_eq!(fetched.headers["cache-control"], "max-age=7");
}

#[tokio::test]
async fn nothing_that_proves_an_identity_is_sent() {
    let fake = Fake::start().await;
    fake.json("/jwks", "{}");
    fetcher().get(&fake.url("/jwks")).await.unwrap();
    let request = fake.seen().concat().to_lowercase();
    assert!(request.starts_with("get /jwks http/1.1\r\n"), "{request}");
    for header in ["authorization", "cookie", "referer"] {
        assert!(!request.contains(header), "{request}");
    }
    let mut with_user = fake.url("/jwks");
    with_user.set_username("hugo").unwrap();
    with_user.set_password(Some("secret")).unwrap();
    let error = fetcher().get(&with_user).await.unwrap_err();
    assert!(matches!(error.fault, FetchFault::Credentials), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn what_is_larger_than_the_limit_is_not_read() {
    let fake = Fake::start().await;
    fake.answer(
        "/long",
        Reaction::Send(response("200 OK", "", &vec![b'x'; DOCUMENT_BYTES_MAX + 1])),
    );
    fake.answer("/endless", Reaction::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()));
    // 300 KiB of the digit 0 in 334 bytes of gzip, most of which are zeros.
    let begin = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 237, 193, 1, 13, 0, 0, 0, 194, 160, 74, 239, 159, 206,
        28, 110, 64, 1,
    ];
    let end = [192, 159, 1, 158, 183, 64, 255, 0, 176, 4, 0];
    let packed = [&begin[..], &[0; 296], &end].concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    fake.answer("/packed", Reaction::Send([head.as_bytes(), &packed].concat()));
    for path in ["/long", "/endless", "/packed"] {
        let fault = fault(&fetcher(), fake.url(path).as_str()).await;
        assert!(matches!(fault, FetchFault::TooLarge), "{path}: {fault:?}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let fake = Fake::start().await;
    fake.json("/there", "{}");
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("Location: {}\r\n", fake.url("/there"));
        fake.answer("/here", Reaction::Send(response(status, &location, b"")));
        let fault = fault(&fetcher(), fake.url("/here").as_str()).await;
        assert!(matches!(fault, FetchFault::Redirected { .. }), "{fault:?}");
    }
    assert_eq!(fake.count("/there"), 0);
}

#[tokio::test]
async fn only_status_200_is_good() {
    let fake = Fake::start().await;
    for status in ["201 Created", "204 No Content", "404 Not Found", "500 Oops", "503 Later"] {
        fake.answer("/jwks", Reaction::Send(response(status, "", b"")));
        let fault = fault(&fetcher(), fake.url("/jwks").as_str()).await;
        let code: u16 = status.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(fault.status().unwrap().as_u16(), code, "{fault:?}");
    }
}

#[tokio::test]
async fn a_provider_that_stalls_ends_with_the_time_limit() {
    let fake = Fake::start().await;
    fake.answer("/silent", Reaction::Stall(Vec::new()));
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"ke".to_vec();
    fake.answer("/half", Reaction::Stall(half));
    let limit = Duration::from_millis(200);
    let fetcher = Fetcher::new(&Terms { timeout: limit, ..terms() }, true).unwrap();
    for path in ["/silent", "/half"] {
        let fault = fault(&fetcher, fake.url(path).as_str()).await;
        assert!(matches!(fault, FetchFault::Timeout { .. }), "{path}: {fault:?}");
        assert_eq!(fault.to_string(), "no whole answer within 0.2 s");
    }
}

#[tokio::test]
async fn faults_below_http_are_told_apart() {
    let fake = Fake::start().await;
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"ke".to_vec();
    fake.answer("/half", Reaction::Send(half));
    let broken = fault(&fetcher(), fake.url("/half").as_str()).await;
    assert!(matches!(broken, FetchFault::Interrupted(_)), "{broken:?}");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = fault(&fetcher(), &format!("http://{closed}/")).await;
    assert!(matches!(nobody, FetchFault::Unreachable(_)), "{nobody:?}");

    fake.answer("/", Reaction::Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    let plain = fault(&fetcher(), &format!("https://localhost:{}/", nonsense().await)).await;
    assert!(matches!(plain, FetchFault::Tls(_)), "{plain:?}");

    let unknown = fault(&fetcher(), "https://no-such-host.invalid/").await;
    assert!(matches!(unknown, FetchFault::Unresolved(_)), "{unknown:?}");
}

/// The port of a server that does not speak TLS.
async fn nonsense() -> u16 {
    use tokio::io::AsyncWriteExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    port
}

#[test]
fn plain_http_is_for_this_machine_or_said_in_words() {
    for (url, good) in [
        ("https://idp.example/jwks", true),
        ("http://127.0.0.1:9/jwks", true),
        ("http://127.8.8.8/jwks", true),
        ("http://[::1]/jwks", true),
        ("http://localhost/jwks", true),
        ("http://idp.localhost/jwks", true),
        ("http://idp.example/jwks", false),
        ("http://localhost.example/jwks", false),
        ("http://notlocalhost/jwks", false),
        ("http://10.0.0.1/jwks", false),
        ("ftp://localhost/jwks", false),
        ("file:///etc/passwd", false),
    ] {
        let checked = check(&url.parse().unwrap(), false);
        assert_eq!(checked.is_ok(), good, "{url}: {checked:?}");
        if !good {
            assert!(matches!(checked, Err(FetchFault::NotHttps)), "{url}: {checked:?}");
        }
    }
    assert!(check(&"http://10.0.0.1/jwks".parse().unwrap(), true).is_ok());
    assert!(check(&"ftp://10.0.0.1/jwks".parse().unwrap(), true).is_err());
}

#[test]
fn a_forbidden_address_is_refused_however_it_is_written() {
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/",
        "https://0xa9fea9fe/",
        "https://2852039166/",
        "https://0251.0376.0251.0376/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://0.0.0.0/",
        "https://0/",
        "https://[::]/",
        "https://224.0.0.1/",
    ] {
        let checked = check(&url.parse().unwrap(), true);
        assert!(matches!(checked, Err(FetchFault::Forbidden { .. })), "{url}: {checked:?}");
    }
}

#[test]
fn a_name_leads_only_to_the_allowed_ones_of_its_addresses() {
    let sockets = |addresses: &[&str]| -> Vec<SocketAddr> {
        addresses.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 0)).collect()
    };
    let mixed = sockets(&["169.254.169.254", "10.0.0.7", "fe80::1", "2001:db8::7"]);
    let left = allowed(mixed.into_iter()).unwrap();
    assert_eq!(left, sockets(&["10.0.0.7", "2001:db8::7"]));
    let refused = allowed(sockets(&["169.254.169.254", "fd00:ec2::254"]).into_iter());
    assert!(matches!(refused, Err(Unresolved::Forbidden { .. })), "{refused:?}");
    let nothing = allowed(std::iter::empty());
    assert!(matches!(nothing, Err(Unresolved::Unknown(None))), "{nothing:?}");
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_dns_says() {
    for name in ["localhost", "idp.localhost"] {
        let found: Vec<_> = Guard.resolve(name.parse().unwrap()).await.unwrap().collect();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|socket| socket.ip().is_loopback()), "{found:?}");
    }
    let fake = Fake::start().await;
    fake.json("/jwks", "{}");
    let url = format!("http://localhost:{}/jwks", fake.address.port());
    fetcher().get(&url.parse().unwrap()).await.unwrap();
}

/// Resolves every name to the metadata service of clouds.
struct Rebound;

impl Resolve for Rebound {
    fn resolve(&self, _name: Name) -> Resolving {
        let found = ["169.254.169.254:0".parse().unwrap()].into_iter();
        Box::pin(async {
            let left: Addrs = Box::new(allowed(found)?.into_iter());
            Ok(left)
        })
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_forbidden_address_is_refused_and_the_error_says_so() {
    let client = builder(&terms()).dns_resolver(Rebound).build().unwrap();
    let fetcher = Fetcher { client, allow_http: true, timeout: terms().timeout };
    let error = fetcher.get(&"http://idp.example/jwks?k=v".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch http://idp.example/jwks");
    assert_eq!(
        error.source().unwrap().to_string(),
        "it leads to 169.254.169.254, which is a link-local address; let its host name a \
         provider's real address"
    );
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    for pem in ["", "rubbish", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"] {
        let terms = Terms { ca_pem: Some(pem.as_bytes().into()), ..terms() };
        let made = Fetcher::new(&terms, false);
        assert!(matches!(made, Err(ClientError::CaUnreadable(_))), "{pem}: {made:?}");
    }
}
