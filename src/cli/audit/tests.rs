//! A screen of 80 columns, from doors that were made up.

use super::*;
use crate::audit::{Banner, Protocol};
use crate::host::Program;

fn listener(at: &str, pid: u32, name: &str) -> Listener {
    let program = (pid > 0).then(|| Program { pid, name: name.into() });
    Listener { at: at.parse().unwrap(), program, waiting: 0, room: 128 }
}

fn speaks(protocol: Protocol, detail: &str) -> Option<Answer> {
    Some(Answer::Speaks(Banner { protocol, detail: detail.into() }))
}

fn audit(doors: &[Door], ports: &Ports) -> Audit {
    let policy = "/etc/portcullis/portcullis.toml".to_owned();
    Audit::new(doors, ports, policy, vec!["published ports (nft: not permitted)".into()])
}

#[test]
fn the_usual_screen() {
    let listeners = [
        listener("0.0.0.0:22", 812, "sshd"),
        listener("[::]:22", 812, "sshd"),
        listener("0.0.0.0:80", 900, "nginx"),
        listener("127.0.0.1:6379", 0, ""),
        listener("[::]:31337", 4711, "nc"),
    ];
    let mut doors = doors(listeners, [(8080..=8080, "172.17.0.2:80".to_owned())]);
    doors[0].answer = speaks(Protocol::Ssh, "OpenSSH_9.2p1 Debian-2+deb12u3");
    doors[1].answer = speaks(Protocol::Http, "nginx/1.22.1");
    doors[2].answer = Some(Answer::Unknown);
    doors[3].answer = Some(Answer::Unknown);
    doors[4].answer = Some(Answer::Shut);
    let text = screen::screen(&audit(&doors, &Ports::default()));
    assert_eq!(
        text,
        "\
 PORT  LISTENS ON  SERVED  SERVICE  PROGRAM                     ANSWERS
   22  all         yes     ssh      sshd (812)                  SSH OpenSSH_9.2…
"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn nothing_is_off() {
    let ports = Ports {
        listening: false,
        open: [22].into_iter().collect(),
        only_from: vec![([22].into_iter().collect(), crate::policy::PrefixSet::default())],
        ..Ports::default()
    };
    let doors = doors([listener("0.0.0.0:22", 812, "sshd")], []);
    assert_eq!(
        screen::screen(&audit(&doors, &ports)),
        "\
PORT  LISTENS ON  SERVED  SERVICE  PROGRAM
  22  all         some    ssh      sshd (812)

Nothing is off, held against /etc/portcullis/portcullis.toml.
Not seen: published ports (nft: not permitted)
"
    );
    assert!(
        screen::screen(&audit(&[], &Ports::default()))
            .starts_with("Nobody listens on this host.\n")
    );
}

#[test]
fn as_json() {
    let doors = doors([listener("0.0.0.0:4444", 0, "")], []);
    let json = serde_json::to_value(audit(&doors, &Ports::default())).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(
        (&finding["kind"], &finding["off"], &finding["ports"]),
        (&"suspicious".into(), &true.into(), &"4444".into())
    );
    assert!(finding["do"].is_string() && finding["why"].is_string() && finding["what"].is_string());
    let door = &json["doors"][0];
    assert_eq!((&door["reach"], &door["served"]), (&"all".into(), &"yes".into()));
    assert_eq!(
        (&door["program"], &door["found"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}
