"""ttrpc and the wire format of protobuf, as far as a test of the shim needs them: a client of a shim, and the socket
on which containerd takes events. Standard library only.

A message is a dictionary of lists by field number: integers, or bytes for what has a length."""
import os
import queue
import socket
import struct
import threading

_REQUEST, _RESPONSE = 1, 2


def _varint(value):
    out = bytearray()
    while True:
        out.append(value & 0x7f | (0x80 if value > 0x7f else 0))
        value >>= 7
        if not value:
            return bytes(out)


def encode(fields):
    """From {number: value}; a value is an int, a bool, a str, bytes, a dictionary (a message), or a list of these."""
    out = b""
    for number, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                item = encode(item)
            if isinstance(item, str):
                item = item.encode()
            if isinstance(item, bytes):
                out += _varint(number << 3 | 2) + _varint(len(item)) + item
            else:
                out += _varint(number << 3) + _varint(int(item))
    return out


def _read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7f) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def decode(data):
    fields, at = {}, 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 0:
            value, at = _read_varint(data, at)
        elif tag & 7 == 2:
            size, at = _read_varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError("a field is cut off")
        else:
            raise ValueError(f"wire type {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def number(message, field):
    return message.get(field, [0])[0]


def text(message, field):
    return message.get(field, [b""])[0].decode()


def sub(message, field):
    return decode(message.get(field, [b""])[0])


def _receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _read_frame(connection):
    size, stream, kind, _ = struct.unpack(">IIBB", _receive(connection, 10))
    return stream, kind, _receive(connection, size)


def frame(stream, kind, data):
    return struct.pack(">IIBB", len(data), stream, kind, 0) + data


class Failed(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Pending:
    def __init__(self):
        self._answer = queue.Queue()

    def set(self, response):
        self._answer.put(response)

    def get(self, timeout=60):
        response = self._answer.get(timeout=timeout)
        if response is None:
            raise EOFError("the connection ended")
        status = sub(response, 1)
        if number(status, 1):
            raise Failed(number(status, 1), text(status, 2))
        return sub(response, 2)


class Client:
    def __init__(self, path, service="containerd.task.v2.Task"):
        self.service = service
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.stream = 1
        self.pending = {}
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            while True:
                stream, kind, data = _read_frame(self.socket)
                if kind == _RESPONSE:
                    with self.lock:
                        self.pending.pop(stream).set(decode(data))
        except (EOFError, OSError, KeyError):
            with self.lock:
                for pending in self.pending.values():
                    pending.set(None)

    def begin(self, method, fields):
        pending = Pending()
        with self.lock:
            stream, self.stream = self.stream, self.stream + 2
            self.pending[stream] = pending
        request = encode({1: self.service, 2: method, 3: encode(fields)})
        self.socket.sendall(frame(stream, _REQUEST, request))
        return pending

    def __call__(self, method, fields, timeout=60):
        return self.begin(method, fields).get(timeout)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()


class EventSocket:
    """Takes what is sent to containerd.services.events.ttrpc.v1.Events/Forward."""

    def __init__(self, path):
        self.path = path
        self.events = []  # (namespace, topic, type, message)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while True:
                stream, _, data = _read_frame(connection)
                request = decode(data)
                envelope = sub(sub(request, 3), 1)
                event = sub(envelope, 4)
                self.events.append((text(envelope, 2), text(envelope, 3), text(event, 1), sub(event, 2)))
                connection.sendall(frame(stream, _RESPONSE, b""))
        except (EOFError, OSError):
            connection.close()

    def topics(self):
        return [topic for _, topic, _, _ in self.events]

    def close(self):
        self._listener.close()
        os.unlink(self.path)
