//! A gate for tests: gives scripted answers, one a connection, and returns the requests that it
//! got.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::{fs, thread};

use super::{Client, ConnectionArgs};

/// A gate with a script.
pub(in crate::cli) struct Scripted {
    pub(in crate::cli) admin: String,
    /// Holds the token, which is `secret`.
    pub(in crate::cli) data: tempfile::TempDir,
    asked: JoinHandle<Vec<String>>,
}

impl Scripted {
    /// Gives these answers, as they are.
    pub(in crate::cli) fn raw(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let asked = thread::spawn(move || {
            answers
                .iter()
                .map(|answer| answer_one(&listener, answer))
                .collect()
        });
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("operator.token"), "secret\n").unwrap();
        Scripted { admin, data, asked }
    }

    /// Gives 200 with these bodies.
    pub(in crate::cli) fn json(bodies: &[&str]) -> Self {
        let answers: Vec<_> = bodies
            .iter()
            .map(|body| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}"))
            .collect();
        Scripted::raw(&answers.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(in crate::cli) fn client(&self) -> Client {
        ConnectionArgs {
            admin: self.admin.clone(),
            data: self.data.path().to_owned(),
        }
        .client()
        .unwrap()
    }

    /// What it was asked, once all its answers are given.
    pub(in crate::cli) fn asked(self) -> Vec<String> {
        self.asked.join().unwrap()
    }
}

fn answer_one(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&request) {
        match stream.read(&mut piece).unwrap() {
            0 => break,
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    stream.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(request).unwrap()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    body.len() >= length
}
