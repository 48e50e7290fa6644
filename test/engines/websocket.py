"""A WebSocket client (RFC 6455), as far as the streams of Kubernetes' runtime interface need one: binary messages whose
first byte is a channel. Standard library only."""
import base64
import os
import socket
import struct
import urllib.parse


class WebSocket:
    def __init__(self, url, protocol="v4.channel.k8s.io", timeout=60):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n"
                             "\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode(errors="replace"))
        self.channels = {}

    def _more(self):
        part = self.socket.recv(65536)
        if not part:
            raise EOFError
        self.buffer += part

    def _take(self, size):
        while len(self.buffer) < size:
            self._more()
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def send(self, channel, data):
        payload = bytes([channel]) + data
        mask = os.urandom(4)
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(payload))
        self.socket.sendall(b"\x82" + size + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def receive(self):
        """Adds one message to its channel; false at the end."""
        try:
            first, size = self._take(2)
            if size == 126:
                size = struct.unpack(">H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self._take(8))[0]
            payload = self._take(size)
        except (EOFError, ConnectionResetError):
            return False
        if first & 0xf == 8:  # a close frame
            return False
        if first & 0xf in (1, 2) and payload:
            self.channels[payload[0]] = self.channels.get(payload[0], b"") + payload[1:]
        return True

    def expect(self, channel, part):
        """Whether `part` comes on a channel before the end."""
        while part not in self.channels.get(channel, b""):
            if not self.receive():
                return part in self.channels.get(channel, b"")
        return True

    def rest(self):
        while self.receive():
            pass
        return self.channels

    def close(self):
        self.socket.close()
