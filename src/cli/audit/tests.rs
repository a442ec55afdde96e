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
    let policy = "the policy /etc/portcullis/portcullis.toml".to_owned();
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
    doors[3].answer = Some(Answer::Shut);
    doors[4].answer = Some(Answer::Shut);
    let text = screen::screen(&audit(&doors, &Ports::default()));
    assert_eq!(
        format!("\n{text}"),
        r#"
 PORT  LISTENS ON  SERVED  SERVICE  PROGRAM           ANSWERS
   22  all         yes     ssh      sshd (812)        SSH OpenSSH_9.2p1 Debian-…
   80  all         yes     http     nginx (900)       HTTP nginx/1.22.1
 6379  loopback    -       redis    ?                 ?
 8080  all         no      http     to 172.17.0.2:80  shut
31337  all         yes     ?        nc (4711)         shut

OFF   port 8080 is handed on to 172.17.0.2:80, but the policy does not serve it
      why: The gate judges callers before they are handed on, and refuses them:
           what stands behind the port cannot be reached.
      do:  [ports] open = "listening, 8080", then: portcullis reload

OFF   nc (pid 4711) listens on port 31337, which the policy calls suspicious
      why: Backdoors and bots like this port; nobody honest expects a service
           there.
      do:  look at the program: ps -fp 4711. If it is yours, take 31337 out of
           [ports] suspicious

OFF   nc (pid 4711) listens on port 31337, but no connection could be made
      why: Callers wait or are turned away, though the gate lets them in.
      do:  look at its log, or restart it: ps -fp 4711

note  port 6379 is known for redis, but did not answer as Redis does
      why: What the gate guards there could not be checked.
      do:  see for yourself what answers: sudo ss -tlnp sport = :6379

Judged by the policy /etc/portcullis/portcullis.toml: 3 things are off.
Not seen: published ports (nft: not permitted)
"#
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

Judged by the policy /etc/portcullis/portcullis.toml: nothing is off.
To hear what really answers: portcullis audit --probe
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
