"""Who is measured. Every system serves echo, discard and chargen to the same client.

  kernel       client ── veth ── the kernel's TCP in another network namespace, the load tool as server
  inside       client ── TAP ── bywayd, services of its own
  workers      the same with two workers
  owner        client ── TAP ── bywayd ══ socket pair ══ the load tool as server, through libbyway
  ring         the same with memory shared between the two (byway_ring) in place of the socket pair
  lwip         client ── TAP ── lwIP, services in its own process
  slirp4netns, client (in a namespace behind it) ── TAP ── libslirp, or pasta ── the kernel's sockets
  pasta          ── loopback ── the load tool as server

All of it is inside the network namespace that the bench made; each system has a network of its
own and processes that `stop` ends by their pids.
"""
import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import time

LIMIT = 1800  # seconds after which everything that is left ends by itself


class Unavailable(Exception):
    """Why a system cannot be measured here: goes into its row."""


@dataclasses.dataclass(frozen=True)
class Setting:
    offload: bool = True
    busy: bool = False


def command(*words):
    """Runs a short command; its error becomes the reason."""
    if not shutil.which(words[0]):
        raise Unavailable(f"{words[0]} is not installed")
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise Unavailable(f"{' '.join(words[:3])}: {done.stderr.strip()}")
    return done.stdout


def until(condition, what, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Unavailable(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)


def interface_exists(name):
    try:
        return socket.if_nametoindex(name) > 0
    except OSError:
        return False


def network_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def in_network(pid):
    return ["nsenter", "-t", str(pid), "-n", "--"]


def calm_tcp(prefix=()):
    """Ports must come back from thousands of connections a second, and both sides control congestion alike. Fails for
    users, harmlessly."""
    for name, value in (("tcp_tw_reuse", "1"), ("tcp_max_tw_buckets", "1000"), ("ip_local_port_range", "10000 65000"),
                        ("tcp_congestion_control", "cubic")):
        subprocess.run([*prefix, "sysctl", "-qw", f"net.ipv4.{name}={value}"], stderr=subprocess.DEVNULL, check=False)


def no_ipv6():
    """The kernel's own solicitations would wake a stack that is looked at while idle."""
    for name in ("default", "all"):
        subprocess.run(["sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1"], stderr=subprocess.DEVNULL, check=False)


class System:
    """Sub-classes give `begin`, and set what the client needs: address and, perhaps, prefix."""
    title = ""
    address = ""
    prefix = ()  # of the client's command line

    def __init__(self, build, scratch):
        self.build = build
        self.scratch = scratch
        self.children = []
        self.stack = None    # pid of the process with the stack; None: the kernel
        self.program = None  # pid of the program behind it
        self.started = 0.0   # when it answered, by the monotonic clock

    # ---- processes ----

    def spawn(self, *words, env=None):
        if not shutil.which(words[0]):
            raise Unavailable(f"{words[0]} is not installed")
        with open(self.log, "ab") as log:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env={**os.environ, **(env or {})})
        self.children.append(child)
        return child

    @property
    def log(self):
        return os.path.join(self.scratch, type(self).__name__ + ".log")

    def why(self):
        """The last words of a process that ended too early."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                lines = [line.strip() for line in log if line.strip() and "to syslog" not in line]
        except OSError:
            lines = []
        return lines[-1] if lines else "no message"

    def namespace(self, *words, user=False):
        """A process in a network namespace of its own."""
        child = self.spawn("unshare", *(("-r",) if user else ()), "-n", "--", *words)
        own = network_of("self")
        until(lambda: network_of(child.pid) not in (None, own), "a network namespace")
        return child.pid

    def load(self, *words):
        return os.path.join(self.build, "tests/bench/load"), *words

    def server(self, base=0, **env):
        return self.spawn(*self.load("serve", str(LIMIT), str(base)), env=env).pid

    # ---- the life of a system ----

    def begin(self, setting):
        raise NotImplementedError

    def start(self, setting):
        try:
            open(self.log, "wb").close()
            self.begin(setting)
            self.expect(self.answers, "an answer")
            self.started = time.monotonic()
        except (Unavailable, OSError, subprocess.SubprocessError):
            self.stop()
            raise

    def expect(self, condition, what):
        """As until; a process that has ended meanwhile is the better reason."""
        def holds():
            if any(c.poll() is not None for c in self.children):
                raise Unavailable(self.why())
            return condition()

        until(holds, f"{self.title}: {what}")

    def answers(self, address=None):
        return subprocess.run(["timeout", "2", *self.prefix, *self.load("rr", address or self.address, "0")],
                              capture_output=True, check=False).returncode == 0

    def pause(self, paused):
        """One that polls all the time takes a core from whoever else is measured."""
        for child in self.children:
            child.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def stop(self):
        self.pause(False)
        for child in reversed(self.children):
            child.terminate()
        for child in reversed(self.children):
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children = []
        self.stack = self.program = None
        self.clear()

    def clear(self):
        """What outlives the processes."""


def delete_interface(name):
    """It may go by itself at the same moment, with the namespace at its other end."""
    subprocess.run(["ip", "link", "del", name], stderr=subprocess.DEVNULL, check=False)


def offloads_off(interface, prefix=()):
    command(*prefix, "ethtool", "-K", interface, "tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off")


class Kernel(System):
    title = "kernel to kernel"
    address = "198.18.9.2"

    def begin(self, setting):
        self.program = self.namespace(*self.load("serve", str(LIMIT)))
        inside = in_network(self.program)
        calm_tcp(inside)
        command("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", str(self.program))
        command("ip", "addr", "add", "198.18.9.1/24", "dev", "v0")
        command(*inside, "ip", "addr", "add", self.address + "/24", "dev", "v1")
        if not setting.offload:
            offloads_off("v0")
            offloads_off("v1", inside)
        command("ip", "link", "set", "v0", "up")
        command(*inside, "ip", "link", "set", "v1", "up")

    def clear(self):
        delete_interface("v0")


class Inside(System):
    title = "Byway inside"
    network = 0
    busy = "200us"  # how long it polls before it sleeps

    @property
    def interface(self):
        return f"byway{self.network}"

    @property
    def ip(self):
        return f"198.18.{self.network}.2"

    @property
    def address(self):
        return self.ip

    @property
    def control(self):
        return os.path.join(self.scratch, f"control{self.network}")

    def options(self, setting):
        options = {
            "Control.Socket": self.control, "Link.Name": self.interface,
            "Link.HostAddress": f"198.18.{self.network}.1/24", "Network.Address": self.ip + "/24",
            "Services.Echo": "yes", "Services.Discard": "yes", "Services.Chargen": "yes",
        }
        if not setting.offload:
            options["Link.Offload"] = "no"
        if setting.busy:
            options["Worker.BusyPoll"] = self.busy
        return [word for key, value in options.items() for word in ("--set", f"{key}={value}")]

    def daemon(self, setting):
        words = [os.path.join(self.build, "daemon/bywayd"), "--config", "/dev/null", *self.options(setting)]
        if setting.busy and subprocess.run([*words, "--check"], capture_output=True, check=False).returncode:
            raise Unavailable("this bywayd has no busy polling")
        self.stack = self.spawn(*words).pid

    def begin(self, setting):
        self.daemon(setting)
        self.expect(lambda: interface_exists(self.interface), "its TAP")
        if not setting.offload:
            offloads_off(self.interface)


class Owner(Inside):
    title = "Byway, owner"
    network = 1
    base = 1000

    @property
    def address(self):
        return f"{self.ip}+{self.base}"

    def begin(self, setting):
        super().begin(setting)
        self.expect(lambda: self.answers(self.ip), "an answer of the daemon")
        self.program = self.server(self.base, BYWAY_SOCKET=self.control)


class Ring(Owner):
    title = "Byway, ring"
    network = 3
    base = 4000

    def server(self, base=0, **env):
        return super().server(base, BYWAY_RING="0", **env)


class Workers(Inside):
    title = "Byway, two workers"
    network = 2

    def options(self, setting):
        return [*super().options(setting), "--set", "Worker.Count=2"]


class Lwip(System):
    title = "lwIP"
    address = "198.18.40.2"

    def begin(self, setting):
        harness = os.path.join(self.build, "tests/bench/lwip")
        if not os.path.exists(harness):
            raise Unavailable("built without liblwip-dev")
        self.stack = self.spawn(harness, "lw0", self.address + "/24", *(("spin",) if setting.busy else ())).pid
        self.expect(lambda: interface_exists("lw0"), "its TAP")
        command("ip", "addr", "add", "198.18.40.1/24", "dev", "lw0")
        if not setting.offload:
            offloads_off("lw0")
        command("ip", "link", "set", "lw0", "up")


class Forwarder(System):
    """A stack between a namespace and the sockets of the network outside of it."""
    holder_user = False
    interface = "tap0"
    base = 0

    def forward(self, holder, mtu):
        """Starts it for the namespace of a process."""
        raise NotImplementedError

    def begin(self, setting):
        self.program = self.server(self.base)
        holder = self.namespace("sleep", str(LIMIT), user=self.holder_user)
        self.prefix = in_network(holder)
        calm_tcp(self.prefix)
        mtu = 65520 if setting.offload else 1500
        self.stack = self.forward(holder, mtu).pid
        self.expect(self.configured, "its interface")
        command(*self.prefix, "ip", "link", "set", self.interface, "mtu", str(mtu))

    def configured(self):
        shown = subprocess.run([*self.prefix, "ip", "-4", "-o", "addr", "show", "dev", self.interface],
                               capture_output=True, text=True, check=False).stdout
        return re.search(r"inet 198\.18\.", shown) is not None


class Slirp4netns(Forwarder):
    title = "slirp4netns"
    base = 2000
    address = f"198.18.30.2+{base}"

    def forward(self, holder, mtu):
        return self.spawn("slirp4netns", "-c", "--mtu", str(mtu), "--cidr", "198.18.30.0/24", str(holder), self.interface)


class Pasta(Forwarder):
    title = "pasta"
    base = 3000
    holder_user = True  # it joins the user namespace too
    interface = "p0"
    address = f"198.18.50.1+{base}"

    def forward(self, holder, mtu):
        # it wants an interface outside as a model, which carries nothing here
        command("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
        command("ip", "addr", "add", "198.18.51.1/24", "dev", "d0")
        for name in ("d0", "d1"):
            command("ip", "link", "set", name, "up")
        return self.spawn("pasta", "-f", "-4", "--config-net", "-m", str(mtu), "--runas", "0", "-t", "none", "-u", "none",
                          "-T", "none", "-U", "none", "-a", "198.18.50.2", "-n", "24", "-g", "198.18.50.1", "-i", "d0",
                          "-I", self.interface, str(holder))

    def clear(self):
        delete_interface("d0")


CLASSES = {"kernel": Kernel, "inside": Inside, "owner": Owner, "ring": Ring, "lwip": Lwip, "slirp4netns": Slirp4netns, "pasta": Pasta,
           "workers": Workers}
TITLES = {key: cls.title for key, cls in CLASSES.items()}
