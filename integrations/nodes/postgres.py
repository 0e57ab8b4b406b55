"""A PostgreSQL of our own, which can be killed, frozen, and followed by a standby."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from check.process import Program, StartError, free_port

USER = "postgres"


def programs():
    """The folder of initdb and its like."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    here = found[-1] if found else shutil.which("initdb")
    if here is None:
        raise StartError("no initdb: install postgresql")
    return Path(here).parent


class Postgres:
    """A cluster below `folder`; `network` besides loopback is an address to listen on and who may come there."""

    def __init__(self, folder, network=None, settings=()):
        folder.mkdir(mode=0o755)
        self.folder, self.port, self.bin = folder, free_port(), programs()
        self.data, self.settings, self.network = folder / "data", list(settings), network
        self.as_user = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(folder, USER)
            self.as_user = ["setpriv", "--reuid", USER, "--regid", str(pwd.getpwnam(USER).pw_gid), "--clear-groups", "--"]
        self.program = None

    def run(self, name, *arguments):
        """One of its programs, to its end."""
        command = [*self.as_user, self.bin / name, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartError(f"{name}: {done.stderr.strip()}")
        return done.stdout.strip()

    def create(self):
        """A new cluster."""
        self.run("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8")
        if self.network:
            with open(self.data / "pg_hba.conf", "a", encoding="utf-8") as rules:
                rules.write(f"host all all {self.network[1]} trust\n")

    def start(self):
        """Starts it and waits until it answers."""
        addresses = ",".join(["127.0.0.1", *([self.network[0]] if self.network else [])])
        settings = [f"listen_addresses={addresses}", f"unix_socket_directories={self.folder}", *self.settings]
        command = [*self.as_user, self.bin / "postgres", "-D", self.data, "-p", self.port]
        self.program = Program(
            [*command, *(part for setting in settings for part in ("-c", setting))],
            self.port, self.folder / "postgres.log",
        )
        self.program.start()
        self.wait()

    def wait(self, seconds=20):
        """Until it answers a question."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.sql("SELECT 1")
            except StartError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def sql(self, text, database="postgres"):
        """What psql prints."""
        return self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database,
                        "-qAt", "-v", "ON_ERROR_STOP=1", "-c", text)

    def processes(self):
        """The postmaster and all that it has started."""
        parent = str(self.program.child.pid)
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", parent], capture_output=True, text=True, check=False)
        return [int(parent), *map(int, children.stdout.split())]

    def signal(self, number):
        """To every process at once; some may be gone by then."""
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """All of it, at once (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self.program.child.wait()

    def freeze(self):
        """Connections stay, and nothing is answered."""
        self.signal(signal.SIGSTOP)

    def thaw(self):
        """Ends `freeze`."""
        self.signal(signal.SIGCONT)

    def stop(self):
        """Ends it for good."""
        if self.program is not None:
            if self.program.child is not None and self.program.child.poll() is None:
                self.thaw()
                # Fast shutdown: clients are not waited for.
                self.program.child.send_signal(signal.SIGINT)
            self.program.stop()

    def standby(self, folder):
        """A copy that follows this one; not started."""
        copy = Postgres(folder)
        copy.run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-D", copy.data,
                 "-R", "-X", "stream", "-c", "fast")
        return copy

    def url(self, host="127.0.0.1", port=None, database="keyward"):
        """For Keyward."""
        return f"postgres://keyward@{host}:{port or self.port}/{database}"

    def make_database(self):
        """Role and database as docs/how-to/operate/postgres.md makes them."""
        self.sql("CREATE ROLE keyward LOGIN")
        self.sql("CREATE DATABASE keyward OWNER keyward")
