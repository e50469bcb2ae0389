//! Machines of the benchmark's own: network namespaces on one switch, the upload of each limited.
//!
//! Nothing here touches the host's network: no command that changes one runs before its namespace was seen to differ
//! from ours. A namespace lives as long as a `cat` in it, which ends with our end of its stdin, however we end; what
//! runs on a machine is killed when the thread that started it is gone, so only the main thread starts anything.
//! The tests have machines like these (`tests/it/common/netns.rs`), with routers and cables to pull, without limits.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
};

use anyhow::{Context as _, Result, bail, ensure};

/// A machine with loopback and one interface to the switch. Dropping it takes it off the network.
pub(super) struct Machine {
    inside: Namespace,
    /// The switch, until the last machine is gone.
    _switch: Rc<Namespace>,
    /// Its address on the network.
    pub(super) ip: Ipv4Addr,
}

/// Machines of one LAN, each sending at most its rate, in Mbit/s, and receiving what comes.
pub(super) fn machines(rates: &[u32]) -> Result<Vec<Machine>> {
    let switch = switch()?;
    let all = (1..).zip(rates).map(|(number, rate)| {
        let machine = machine(&switch, number, "/24")?;
        let rate = format!("{rate}mbit");
        let bucket = ["tbf", "rate", &rate, "burst", "64kb", "latency", "50ms"];
        let limit = [&["qdisc", "add", "dev", "eth0", "root"][..], &bucket].concat();
        machine
            .inside
            .run("tc", &limit)
            .context("the rate of a link cannot be limited (does the kernel have sch_tbf?)")?;
        Ok(machine)
    });
    all.collect()
}

/// Two machines that know no way to each other, and one between them that both reach. No rate is limited.
pub(super) fn apart() -> Result<[Machine; 3]> {
    let switch = switch()?;
    let [one, other] = [machine(&switch, 1, "/32")?, machine(&switch, 2, "/32")?];
    let middle = machine(&switch, 3, "/24")?;
    for end in [&one, &other] {
        end.inside.run("ip", &["route", "add", &middle.ip.to_string(), "dev", "eth0"])?;
    }
    Ok([one, middle, other])
}

fn switch() -> Result<Rc<Namespace>> {
    let switch = Rc::new(Namespace::outermost().context("network namespaces cannot be made")?);
    // Without snooping it floods multicast, as a plain switch does.
    switch.run("ip", &["link", "add", "switch", "type", "bridge", "mcast_snooping", "0"])?;
    switch.run("ip", &["link", "set", "switch", "up"])?;
    Ok(switch)
}

fn machine(switch: &Rc<Namespace>, number: u8, subnet: &str) -> Result<Machine> {
    let inside = switch.inner()?;
    let (ip, port) = (Ipv4Addr::new(10, 77, 0, number), format!("port{number}"));
    let (pid, subnet) = (inside.holder.id().to_string(), format!("{ip}{subnet}"));
    let cable = ["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &pid];
    switch.run("ip", &cable)?;
    switch.run("ip", &["link", "set", &port, "master", "switch", "up"])?;
    inside.run("ip", &["link", "set", "lo", "up"])?;
    inside.run("ip", &["address", "add", &subnet, "dev", "eth0"])?;
    inside.run("ip", &["link", "set", "eth0", "up"])?;
    Ok(Machine { inside, _switch: Rc::clone(switch), ip })
}

impl Machine {
    /// A program on this machine, that dies with us.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = self.inside.command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    }
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
    fn outermost() -> Result<Self> {
        let mut as_user = Command::new("unshare");
        as_user.args(["--map-root-user", "--net", "cat"]);
        Self::hold(as_user, true).or_else(|first| {
            let mut as_root = Command::new("unshare");
            as_root.args(["--net", "cat"]);
            Self::hold(as_root, false).with_context(|| format!("{first:#}"))
        })
    }

    /// A further one, with the same rights.
    fn inner(&self) -> Result<Self> {
        let mut command = self.command("unshare");
        command.args(["--net", "cat"]);
        Self::hold(command, self.user)
    }

    /// Starts the holder and waits until it runs, which it does when it has its namespace.
    fn hold(mut command: Command, user: bool) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut held = Self { holder: command.spawn().context("unshare")?, user };
        let (stdin, stdout) = (held.holder.stdin.as_mut(), held.holder.stdout.as_mut());
        let (stdin, stdout) = stdin.zip(stdout).context("piped")?;
        // A holder that has ended already makes this fail; why is on its stderr.
        if stdin.write_all(b"?").and_then(|()| stdout.read_exact(&mut [0])).is_err() {
            let mut why = String::new();
            held.holder.stderr.take().context("piped")?.read_to_string(&mut why)?;
            bail!("{}", why.trim());
        }
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
        ensure!(
            of("self")? != of(&held.holder.id().to_string())?,
            "the new process is not in a network namespace of its own"
        );
        Ok(held)
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

    fn run(&self, program: &str, args: &[&str]) -> Result<()> {
        let output = self.command(program).args(args).output().context("nsenter")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {}: {}", args.join(" "), said.trim());
        Ok(())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // `wait` fails only for what was waited for already.
        drop(self.holder.wait());
    }
}
