//! Listeners: who gets an address, and what is left behind.

use super::*;

fn tcp(bound: &BoundListeners) -> Listen {
    bound.addresses()[0].clone()
}

#[test]
fn workers_share_the_port_that_the_first_of_them_found() {
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 3).unwrap();
    let ports: Vec<u16> = bound
        .workers
        .iter()
        .flatten()
        .map(|listener| match listener {
            Listener::Tcp(listener) => listener.local_addr().unwrap().port(),
            Listener::Unix(..) => 0,
        })
        .collect();
    assert_eq!(ports.len(), 3);
    assert!(
        ports[0] != 0 && ports.iter().all(|port| *port == ports[0]),
        "{ports:?}"
    );
    assert!(matches!(tcp(&bound), Listen::Tcp(address) if address.port() == ports[0]));
}

#[test]
fn a_second_gate_does_not_share_the_port_in_silence() {
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    assert_eq!(
        bind(&[tcp(&bound)], 1).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
}

#[test]
fn a_socket_file_is_taken_over_only_from_the_dead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gate.sock");
    let spec: Listen = format!("unix:{}", path.display()).parse().unwrap();
    assert_eq!(spec.to_string(), format!("unix:{}", path.display()));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bound = bind(std::slice::from_ref(&spec), 2).unwrap();
    assert_eq!(
        bind(std::slice::from_ref(&spec), 1).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    drop(bound);
    assert!(!path.exists(), "it goes with its listener");
    std::fs::write(&path, "precious").unwrap();
    assert!(bind(&[spec], 1).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn pauses_between_errors_grow_up_to_the_bound() {
    let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
    let pauses: Vec<_> = pauses.take(10).collect();
    assert_eq!(pauses[1], 2 * FIRST_PAUSE);
    assert!(pauses[7] < MAX_PAUSE, "{pauses:?}");
    assert_eq!(pauses[8..], [MAX_PAUSE; 2]);
}
