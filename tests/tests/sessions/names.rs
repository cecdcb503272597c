//! Replicas find one another by what a real name server says.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    process, thread,
    time::{Duration, Instant},
};

use e2e::{
    minter,
    name_server::NameServer,
    place::Place,
    process::{settles, until},
    replicas::{Replica, Replicas},
};
use serde_json::{Value, json};

const NAME: &str = "promgate.test";
const SERVICE: &str = "_peer._tcp.promgate.test";
const PORT: u16 = 17_003;

/// Looks for the others under [`NAME`], where this name server is asked.
fn by_name(server: SocketAddr, port: u16) -> Value {
    json!({ "dns": { "name": NAME, "port": port, "interval": "1s", "servers": [server.to_string()] } })
}

/// Looks for the others as targets of [`SERVICE`].
fn by_service(server: SocketAddr) -> Value {
    json!({ "srv": { "name": SERVICE, "interval": "1s", "servers": server.to_string() } })
}

fn addresses(places: &[Place]) -> Vec<IpAddr> {
    places.iter().map(|place| place.peer().ip()).collect()
}

/// So many replicas that are all found under [`NAME`].
fn named(names: &mut NameServer, count: usize) -> Replicas {
    let places = Place::several(count);
    names.set_addresses(NAME, &addresses(&places));
    let server = names.address();
    let replicas = Replicas::begin_at(places, move |_, config| {
        config["cluster"]["peers"] = by_name(server, PORT);
    });
    replicas.settle();
    replicas
}

/// Whether the ring that a replica sees is of exactly these.
fn sees(replica: &Replica, wanted: &[&Replica]) -> bool {
    let ring = replica.ring();
    let nodes = ring["nodes"].as_array().unwrap();
    let on_ring = nodes.iter().filter(|node| node["share"].as_f64().unwrap() > 0.0);
    let mut names: Vec<_> = on_ring.map(|node| node["name"].as_str().unwrap().to_owned()).collect();
    let mut wanted: Vec<_> = wanted.iter().map(|replica| replica.name()).collect();
    names.sort();
    wanted.sort();
    names == wanted
}

/// A session that one of them owns is served by each.
fn serve_one_another(replicas: &[&Replica]) {
    for owner in replicas {
        let session = owner.session(&minter::token("alice"));
        for replica in replicas {
            let reply = session.through(replica.mcp()).call("ping", json!({}));
            assert_eq!(reply.status(), 200, "{} through {}", owner.name(), replica.name());
        }
    }
}

/// The address of IPv6 that every machine has which knows it. Without it a test says so, and does without.
fn address_of_v6() -> Option<IpAddr> {
    let address = IpAddr::from(Ipv6Addr::LOCALHOST);
    match TcpListener::bind((address, 0)) {
        Ok(_free) => Some(address),
        Err(error) => {
            println!("no IPv6 is tested, since this machine has none: {error}");
            None
        }
    }
}

/// A port that is free at an address of IPv4 and at the one of IPv6 that every machine has, and below those that the
/// system gives to connections.
fn port_of_both(place: &Place) -> u16 {
    let first = 18_000 + u16::try_from(process::id() % 1000).unwrap() * 10;
    let is_free = |port: &u16| {
        TcpListener::bind((Ipv6Addr::LOCALHOST, *port)).is_ok()
            && TcpListener::bind(place.at(*port)).is_ok()
    };
    (first..first + 100).find(is_free).expect("one of them is free")
}

/// Has a replica listen for others elsewhere.
fn listen_at(config: &mut Value, address: SocketAddr) {
    config["cluster"]["listen"] = json!(address.to_string());
    config["cluster"]["advertise"] = json!(address.to_string());
}

#[test]
fn a_record_that_is_added_brings_a_replica_onto_the_ring_and_its_removal_takes_it_off() {
    let mut names = NameServer::start();
    let mut replicas = named(&mut names, 2);
    let before = addresses_of(&replicas);
    replicas.add();
    let new = replicas.at(2);
    until("it has found the others", || sees(new, &[replicas.at(0), replicas.at(1), new]));
    assert!(sees(replicas.at(0), &[replicas.at(0), replicas.at(1)]), "nobody has named it");

    names.set_addresses(NAME, &addresses_of(&replicas));
    replicas.settle();
    serve_one_another(&[replicas.at(0), replicas.at(1), replicas.at(2)]);

    names.set_addresses(NAME, &before);
    for replica in &replicas.all()[..2] {
        let two = [replicas.at(0), replicas.at(1)];
        until("it is off the ring, though it lives", || sees(replica, &two));
    }
    serve_one_another(&[replicas.at(0), replicas.at(1)]);
}

fn addresses_of(replicas: &Replicas) -> Vec<IpAddr> {
    replicas.all().iter().map(|replica| replica.place().peer().ip()).collect()
}

#[test]
fn a_name_with_addresses_of_both_kinds_finds_replicas_of_both() {
    let Some(v6) = address_of_v6() else { return };
    let mut names = NameServer::start();
    let places = Place::several(2);
    let port = port_of_both(&places[0]);
    names.set_addresses(NAME, &[places[0].peer().ip(), v6]);
    let (server, v4) = (names.address(), places[0].at(port));
    let replicas = Replicas::begin_at(places, move |number, config| {
        listen_at(config, if number == 0 { v4 } else { (v6, port).into() });
        config["cluster"]["peers"] = by_name(server, port);
    });
    replicas.settle();
    assert_eq!(replicas.at(1).name(), format!("[::1]:{port}"));
    serve_one_another(&[replicas.at(0), replicas.at(1)]);

    names.set_addresses(NAME, &[replicas.at(0).place().peer().ip()]);
    until("the one of IPv6 is off the ring", || sees(replicas.at(0), &[replicas.at(0)]));
}

#[test]
fn the_targets_of_a_service_find_one_another_each_at_its_port() {
    let mut names = NameServer::start();
    let places = Place::several(3);
    let at = match address_of_v6() {
        Some(v6) => {
            let port = port_of_both(&places[0]);
            [places[0].at(port), (v6, port).into(), places[2].peer()]
        }
        None => [places[0].at(17_005), places[1].at(17_006), places[2].peer()],
    };
    let hosts = ["a.promgate.test", "b.promgate.test", "c.promgate.test"];
    for (host, address) in hosts.iter().zip(at) {
        names.set_addresses(host, &[address.ip()]);
    }
    let target = |number: usize| (hosts[number], at[number].port());
    names.set_targets(SERVICE, &[target(0), target(1)]);
    let server = names.address();
    let replicas = Replicas::begin_at(places, move |number, config| {
        listen_at(config, at[number]);
        config["cluster"]["peers"] = by_service(server);
    });
    let [first, second, third] = [0, 1, 2].map(|number| replicas.at(number));
    for replica in [first, second] {
        until("those that are named are together", || sees(replica, &[first, second]));
    }
    names.set_targets(SERVICE, &[target(0), target(1), target(2)]);
    replicas.settle();
    serve_one_another(&[first, second, third]);
    names.set_targets(SERVICE, &[target(0), target(2)]);
    for replica in [first, third] {
        until("who is not named is off the ring", || sees(replica, &[first, third]));
    }
}

#[test]
fn who_starts_while_no_name_server_answers_waits_for_one() {
    let mut names = NameServer::start();
    let places = Place::several(2);
    names.set_addresses(NAME, &addresses(&places));
    let server = names.address();
    names.kill();
    let replicas = thread::scope(|scope| {
        let starting = scope.spawn(|| {
            Replicas::begin_at(places, move |_, config| {
                config["cluster"]["peers"] = by_name(server, PORT);
            })
        });
        let begun = Instant::now();
        until("some seconds have passed", || begun.elapsed() > Duration::from_secs(3));
        names.start_again();
        starting.join().unwrap()
    });
    let both = [replicas.at(0), replicas.at(1)];
    assert!(sees(both[1], &both), "who started last has met the first before it was ready");
    // The first one finds the last one when it asks again.
    replicas.settle();
    serve_one_another(&both);
}

#[test]
fn a_name_server_that_goes_away_for_a_while_changes_nothing() {
    let mut names = NameServer::start();
    let replicas = named(&mut names, 2);
    let both = [replicas.at(0), replicas.at(1)];
    let version = replicas.at(0).ring()["version"].clone();
    let changes = || replicas.all().iter().map(rings).sum::<usize>();
    let before = changes();
    let both_have_said = |what: &str, times: usize| {
        for replica in both {
            until(what, || replica.stderr().matches(what).count() >= times);
        }
    };
    let (unknown, known) =
        ("the name of a replica cannot be looked up", "the name of a replica is known again");
    names.kill();
    both_have_said(unknown, 1);
    serve_one_another(&both);
    names.start_again();
    both_have_said(known, 1);

    names.freeze();
    both_have_said(unknown, 2);
    serve_one_another(&both);
    names.thaw();
    both_have_said(known, 2);

    assert_eq!(changes(), before, "{}", replicas.at(0).stderr());
    assert_eq!(replicas.at(1).ring()["version"], version);
}

/// How often a replica's ring has changed.
fn rings(replica: &Replica) -> usize {
    replica.stderr().matches("the ring has changed").count()
}

#[test]
fn a_name_without_any_record_is_believed_to_be_gone_when_it_stays_so() {
    let mut names = NameServer::start();
    let replicas = named(&mut names, 2);
    let all = addresses_of(&replicas);
    names.set_addresses(NAME, &[]);
    for replica in replicas.all() {
        until("it is alone", || sees(replica, &[replica]));
        let said = "no name server knows an address of a replica's name";
        assert!(replica.stderr().contains(said), "{}", replica.stderr());
    }
    names.set_addresses(NAME, &all);
    replicas.settle();
}

#[test]
fn more_addresses_than_fit_into_a_datagram_come_by_tcp() {
    let mut names = NameServer::start();
    let places = Place::several(2);
    // 60 addresses take 960 bytes, and the server sends at most 512 in a datagram. The wanted ones stand at the ends.
    let nobody = (0..58).map(|last| IpAddr::from(Ipv4Addr::new(127, 255, 255, last + 1)));
    let mut all: Vec<IpAddr> = nobody.collect();
    all.insert(0, places[0].peer().ip());
    all.push(places[1].peer().ip());
    names.set_addresses(NAME, &all);
    let server = names.address();
    let replicas = Replicas::begin_at(places, move |_, config| {
        config["cluster"]["peers"] = by_name(server, PORT);
    });
    let both = [replicas.at(0), replicas.at(1)];
    for replica in both {
        assert!(settles(|| sees(replica, &both)), "{}", replica.stderr());
    }
}

#[test]
fn of_several_name_servers_one_that_is_down_or_silent_is_passed_over() {
    let mut names = NameServer::start();
    let silent = NameServer::start();
    silent.freeze();
    let down = Place::find();
    let places = Place::several(2);
    names.set_addresses(NAME, &addresses(&places));
    let servers = [down.at(17_004), silent.address(), names.address()];
    let replicas = Replicas::begin_at(places, move |_, config| {
        config["cluster"]["peers"] = by_name(servers[0], PORT);
        let all = servers.map(|server| server.to_string()).join(", ");
        config["cluster"]["peers"]["dns"]["servers"] = json!(all);
    });
    replicas.settle();
    serve_one_another(&[replicas.at(0), replicas.at(1)]);
}
