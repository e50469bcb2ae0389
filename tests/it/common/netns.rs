//! Machines of the tests' own: network namespaces, joined by a bridge for each /24 and one router between these.
//!
//! What happens in them reaches no interface of the host, so what looks around by itself (the preset `lan`, mDNS) may
//! run there. Nothing has a name on the host (`ip netns` is not used): a namespace lives as long as a `cat` in it that
//! ends with our end of its stdin, so all of it vanishes however the test process ends; what runs on a machine is
//! killed when the thread that started it is gone. Needs `unshare`, `nsenter`, `setpriv` (util-linux) and `ip`, and a
//! kernel that lets this user make namespaces; root is not needed where a user namespace may be made.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    rc::Rc,
};

use super::not_run;

/// Name of a machine's interface to its LAN.
const INTERFACE: &str = "eth0";

/// A machine with loopback, one interface, and a route to the other LANs. Dropping it takes it off the network.
pub(crate) struct Machine {
    inside: Namespace,
    /// Switch and router, until the last machine is gone.
    _hub: Rc<Namespace>,
}

impl Machine {
    /// The same command, to be run on this machine. Its process id is the program's: no other process lies between.
    pub(crate) fn enter(&self, command: &Command) -> Command {
        let mut inside = self.inside.command("setpriv");
        inside.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program());
        inside.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            inside.current_dir(dir);
        }
        inside
    }

    /// Pulls the cable: whoever talks to it hears nothing more, not even that it is gone.
    pub(crate) fn unplug(&self) {
        self.inside.ip(&["link", "set", INTERFACE, "down"]).expect("pull the cable");
    }
}

/// Machines with these addresses; those of one /24 are a LAN. `None` where namespaces cannot be made, which is said
/// on stderr; in CI that is a failure.
pub(crate) fn machines<const N: usize>(ips: [[u8; 4]; N]) -> Option<[Machine; N]> {
    match build(&ips.map(Ipv4Addr::from)) {
        Ok(machines) => Some(machines.try_into().ok().expect("one for each address")),
        Err(why) => {
            not_run(&format!("network namespaces cannot be made: {why}"));
            None
        }
    }
}

fn build(ips: &[Ipv4Addr]) -> Result<Vec<Machine>, String> {
    let hub = Rc::new(Namespace::outermost()?);
    hub.ip(&["link", "set", "lo", "up"])?;
    hub.run(hub.command("sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))?;
    let mut bridges = BTreeSet::new();
    let mut machines = Vec::new();
    for (n, ip) in ips.iter().enumerate() {
        let [a, b, c, _] = ip.octets();
        let (gateway, bridge) = (Ipv4Addr::new(a, b, c, 254), format!("lan{a}.{b}.{c}"));
        if bridges.insert(bridge.clone()) {
            // Without snooping it floods multicast, as a plain switch does.
            hub.ip(&["link", "add", &bridge, "type", "bridge", "mcast_snooping", "0"])?;
            hub.ip(&["address", "add", &format!("{gateway}/24"), "dev", &bridge])?;
            hub.ip(&["link", "set", &bridge, "up"])?;
        }
        let inside = hub.inner()?;
        let (port, pid) = (format!("port{n}"), inside.holder.id().to_string());
        let cable = ["link", "add", &port, "type", "veth", "peer", "name", INTERFACE];
        hub.ip(&[&cable[..], &["netns", &pid]].concat())?;
        hub.ip(&["link", "set", &port, "master", &bridge, "up"])?;
        inside.ip(&["link", "set", "lo", "up"])?;
        inside.ip(&["address", "add", &format!("{ip}/24"), "brd", "+", "dev", INTERFACE])?;
        inside.ip(&["link", "set", INTERFACE, "up"])?;
        inside.ip(&["route", "add", "default", "via", &gateway.to_string()])?;
        machines.push(Machine { inside, _hub: Rc::clone(&hub) });
    }
    Ok(machines)
}

/// A network namespace, held by a process in it.
struct Namespace {
    /// Not waited for before the namespace is given up: its id stays its own, so nobody enters another's by mistake.
    holder: Child,
    /// Whether it belongs to a user namespace made for it.
    user: bool,
}

impl Namespace {
    /// One with rights of its own where the kernel lets users have them, else one as the root that we must be then.
    fn outermost() -> Result<Self, String> {
        let mut as_user = Command::new("unshare");
        as_user.args(["--map-root-user", "--net", "cat"]);
        Self::hold(as_user, true).or_else(|first| {
            let mut as_root = Command::new("unshare");
            as_root.args(["--net", "cat"]);
            Self::hold(as_root, false).map_err(|then| format!("{first}; {then}"))
        })
    }

    /// A further one, with the same rights.
    fn inner(&self) -> Result<Self, String> {
        let mut command = self.command("unshare");
        command.args(["--net", "cat"]);
        Self::hold(command, self.user)
    }

    /// Starts the holder and waits until it runs, which it does when it has its namespace.
    fn hold(mut command: Command, user: bool) -> Result<Self, String> {
        let said = |why: io::Error| format!("unshare: {why}");
        let holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(said)?;
        let mut held = Self { holder, user };
        let (stdin, stdout) = (held.holder.stdin.as_mut(), held.holder.stdout.as_mut());
        let (stdin, stdout) = stdin.zip(stdout).expect("piped");
        // A holder that has ended already makes this fail; why is on its stderr.
        let echoed = stdin.write_all(b"?").and_then(|()| stdout.read_exact(&mut [0]));
        if echoed.is_err() {
            let mut why = String::new();
            if let Some(mut stderr) = held.holder.stderr.take() {
                stderr.read_to_string(&mut why).map_err(said)?;
            }
            return Err(why.trim().to_owned());
        }
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
        let (ours, its) = (of("self"), of(&held.holder.id().to_string()));
        match (ours, its) {
            (Ok(ours), Ok(its)) if ours != its => Ok(held),
            _ => Err("the new process is not in a network namespace of its own".to_owned()),
        }
    }

    /// A program in this namespace.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.holder.id().to_string()]);
        if self.user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    fn ip(&self, args: &[&str]) -> Result<(), String> {
        self.run(self.command("ip").args(args))
    }

    fn run(&self, command: &mut Command) -> Result<(), String> {
        let output = command.output().map_err(|why| format!("nsenter: {why}"))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // `wait` fails only for what was waited for already.
        drop(self.holder.wait());
    }
}
