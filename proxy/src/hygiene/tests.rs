use http::{HeaderName, HeaderValue, Request};

use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn framing(pairs: &[(&'static str, &'static str)], raw: &'static [u8]) -> Result<(), Refusal> {
    check_framing(&headers(pairs), || Bytes::from_static(raw))
}

#[test]
fn a_body_whose_end_could_be_read_in_two_ways_is_refused() {
    let chunked = ("transfer-encoding", "chunked");
    assert_eq!(framing(&[], b""), Ok(()));
    assert_eq!(framing(&[("content-length", "12")], b""), Ok(()));
    assert_eq!(framing(&[chunked], b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(()));
    assert_eq!(
        framing(&[chunked], b"POST / HTTP/1.1\r\ncontent-LENGTH: 4\r\n\r\n"),
        Err(Refusal::TwoLengths)
    );
    assert_eq!(framing(&[chunked, ("content-length", "4")], b""), Err(Refusal::TwoLengths));
    for bad in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", " "] {
        let pair = ("transfer-encoding", bad);
        assert_eq!(framing(&[pair], b""), Err(Refusal::TransferEncoding), "{bad}");
    }
    assert_eq!(framing(&[chunked, chunked], b""), Err(Refusal::TransferEncoding));
    for bad in ["3, 3", "+3", "-1", "", "0x3"] {
        assert_eq!(framing(&[("content-length", bad)], b""), Err(Refusal::ContentLength), "{bad}");
    }
    let twice = [("content-length", "3"), ("content-length", "3")];
    assert_eq!(framing(&twice, b""), Err(Refusal::ContentLength));
}

#[test]
fn an_upgrade_is_refused() {
    assert_eq!(framing(&[("upgrade", "h2c")], b""), Err(Refusal::Upgrade));
}

fn target(uri: &str, raw_path: &str, hosts: &[&'static str]) -> Result<String, Refusal> {
    let mut request = Request::builder().uri(uri);
    for host in hosts {
        request = request.header("host", *host);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    check_target(&parts, raw_path.as_bytes()).map(|host| match host.port {
        Some(port) => format!("{}:{port}", host.name),
        None => host.name.to_owned(),
    })
}

#[test]
fn a_target_is_a_path_or_means_this_host() {
    assert_eq!(target("/mcp", "/mcp", &["a:80"]), Ok("a:80".to_owned()));
    assert_eq!(target("http://a/mcp", "http://a/mcp", &["a"]), Ok("a".to_owned()));
    assert_eq!(
        target("http://LocalHost:1/", "http://LocalHost:1/", &["lOCALhOST:1"]),
        Ok("lOCALhOST:1".to_owned())
    );
    assert_eq!(target("http://a:2/mcp", "http://a:2/mcp", &["a:1"]), Err(Refusal::Target));
    assert_eq!(target("http://b/mcp", "http://b/mcp", &["a"]), Err(Refusal::Target));
    assert_eq!(target("*", "*", &["a"]), Err(Refusal::Target));
    assert_eq!(target("/", "e", &["a"]), Err(Refusal::Target));
    assert_eq!(target("/", "\\e", &["a"]), Err(Refusal::Target));
}

#[test]
fn exactly_one_host_without_a_user_is_needed() {
    for bad in [&[][..], &["a", "a"], &[""], &["u@a"], &["a b"], &[":80"]] {
        assert_eq!(target("/mcp", "/mcp", bad), Err(Refusal::HostMissing), "{bad:?}");
    }
}

#[test]
fn a_host_is_allowed_by_name_and_by_port_if_the_rule_has_one() {
    let rules = [
        HostRule::Exact { host: "localhost".to_owned(), port: None },
        HostRule::Exact { host: "::1".to_owned(), port: Some(8080) },
    ];
    let allowed = |host: &'static str| host_is_allowed(&rules, Host::parse(host).unwrap());
    assert!(allowed("localhost:1"));
    assert!(allowed("LOCALHOST"));
    assert!(allowed("[::1]:8080"));
    assert!(!allowed("[::1]:8081"));
    assert!(!allowed("localhost.evil.example"));
    assert!(host_is_allowed(&[HostRule::Any], Host::parse("x").unwrap()));
}

#[test]
fn an_origin_passes_only_by_rule_and_its_absence_passes() {
    let rules = [
        OriginRule::Exact { scheme: "http".to_owned(), host: "localhost".to_owned(), port: None },
        OriginRule::Exact {
            scheme: "https".to_owned(),
            host: "a.example".to_owned(),
            port: Some(443),
        },
    ];
    let verdict = |origin: &'static str| check_origin(&rules, &headers(&[("origin", origin)]));
    assert_eq!(check_origin(&rules, &HeaderMap::new()), Ok(()));
    assert_eq!(verdict("http://localhost:3000"), Ok(()));
    assert_eq!(verdict("https://a.example"), Ok(()));
    assert_eq!(verdict("https://A.example:443"), Ok(()));
    for bad in [
        "https://localhost",
        "null",
        "http://evil.example",
        "https://a.example:444",
        "",
        "localhost",
    ] {
        assert_eq!(verdict(bad), Err(Refusal::OriginForbidden), "{bad}");
    }
    let two = headers(&[("origin", "http://localhost"), ("origin", "http://localhost")]);
    assert_eq!(check_origin(&rules, &two), Err(Refusal::OriginForbidden));
}
