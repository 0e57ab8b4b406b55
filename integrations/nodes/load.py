"""Requests at a steady rate, whatever becomes of them."""

import http.client
import threading
import time

from .caller import exchange

THREADS = 8


class Load:
    """`request(number)` gives method, path, body and headers; `fault(number, answer)` says what is wrong."""

    def __init__(self, caller, rate, request, fault):
        self.caller, self.rate, self.request, self.fault = caller, rate, request, fault
        self.sent, self.faults, self.slowest = 0, [], 0.0
        self.lock, self.is_over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(THREADS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def work(self, first):
        """Every eighth request, each at its time."""
        connection, began = None, time.monotonic()
        for number in range(first, 10**9, THREADS):
            pause = began + number / self.rate - time.monotonic()
            if self.is_over.wait(max(pause, 0)):
                break
            connection = self.one(connection, number)
        if connection is not None:
            connection.close()

    def one(self, connection, number):
        """Sends one and notes what came; the connection, if it can be used again."""
        if connection is None:
            connection = http.client.HTTPConnection(*self.caller.address, timeout=self.caller.timeout)
        began, answer = time.monotonic(), None
        try:
            answer = exchange(connection, self.caller.secret, *self.request(number))
            fault = self.fault(number, answer)
        except (OSError, http.client.HTTPException) as error:
            fault = f"{type(error).__name__} {error}"
        took = time.monotonic() - began
        with self.lock:
            self.sent += 1
            self.slowest = max(self.slowest, took)
            if fault:
                self.faults.append(f"{fault} after {took:.2f} s")
        if answer is None or answer.header("connection") == "close":
            connection.close()
            return None
        return connection


def verifications(caller, rate, keys):
    """Good keys in turn, each of which must be accepted."""
    def request(number):
        return "POST", "/v1/verify", {"credential": keys[number % len(keys)]["secret"]}, ()

    def fault(_number, answer):
        good = answer.status == 200 and answer.json()["code"] == "ok"
        return None if good else f"{answer.status} {answer.body[:120]!r}"

    return Load(caller, rate, request, fault)


class Writes:
    """Users that are made, and which of them were acknowledged."""

    def __init__(self, caller, rate, name):
        self.name, self.acknowledged = name, []
        self.load = Load(caller, rate, self.request, self.fault)

    def request(self, number):
        """May be sent twice: it has an Idempotency-Key."""
        username = f"{self.name}-{number}"
        return "POST", "/v1/users", {"username": username}, (("Idempotency-Key", username),)

    def fault(self, number, answer):
        """Everything but 201."""
        if answer.status != 201:
            return f"{answer.status} {answer.body[:120]!r}"
        self.acknowledged.append(f"{self.name}-{number}")
        return None

    def lost(self, postgres, database="keyward"):
        """Acknowledged, and not in the database; or there twice."""
        there = postgres.sql(f"SELECT username FROM users WHERE username LIKE '{self.name}-%'", database).split()
        return sorted(set(self.acknowledged) - set(there)) + [name for name in set(there) if there.count(name) > 1]
