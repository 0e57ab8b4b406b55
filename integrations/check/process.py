"""Programs started for the checks, on free loopback ports."""

import os
import signal
import socket
import subprocess
import time

START_SECONDS = 20


class StartError(Exception):
    """A program did not come up; the text says what it wrote."""


def free_port():
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A child process with its log file; `port` at `host` is where it answers."""

    def __init__(self, command, port, log, env=None, host="127.0.0.1"):
        self.command = [str(part) for part in command]
        self.port = port
        self.host = host
        self.log = log
        self.env = {**os.environ, **(env or {})}
        self.child = None

    def start(self):
        """Starts it and waits until its port accepts connections."""
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise StartError(f"{self.command[0]} ended: {self.log_tail()}")
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise StartError(f"{self.command[0]} does not listen: {self.log_tail()}")

    def stop(self):
        """Ends it, by force when it does not listen to reason."""
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child = None

    def kill(self):
        """Ends it without a word to it (SIGKILL)."""
        self.child.kill()
        self.child.wait()
        self.child = None

    def freeze(self):
        """From now on it accepts connections and answers nothing."""
        self.child.send_signal(signal.SIGSTOP)
        # The signal is on its way only: other threads may still answer.
        os.waitid(os.P_PID, self.child.pid, os.WSTOPPED)

    def thaw(self):
        """Ends `freeze`."""
        self.child.send_signal(signal.SIGCONT)

    def log_tail(self):
        """The last lines it wrote."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return " | ".join(log.read().strip().splitlines()[-5:])
