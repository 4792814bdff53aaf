"""A client of asgi.py: prints what users can tell apart, nothing that has to differ between two runs."""

import asyncio
import hashlib
import http.client
import json
import sys
import urllib.parse

import websockets

target = urllib.parse.urlsplit(sys.argv[1])
IGNORED = {"date", "connection", "keep-alive", "transfer-encoding", "x-request-id", "via"}


def send(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(target.netloc, timeout=30)
    connection.request(method, path, body=body, headers=headers, encode_chunked=hasattr(body, "__next__"))
    return connection.getresponse()


def shown(response):
    names = sorted((name.lower(), value) for name, value in response.getheaders())
    ours = ("atoll-", "x-atoll-")
    return {name: value for name, value in names if name not in IGNORED and not name.startswith(ours) and not value.startswith("atoll-")}


def ask(method, path, body=None, headers={}):
    response = send(method, path, body, headers)
    got = response.read()
    print(method, path, response.status, json.dumps(shown(response)), got.decode())


def stream():
    response = send("GET", "/stream")
    print("stream", response.status, response.getheader("content-type"))
    while line := response.readline():
        # It was here before the next one could be made.
        print(line.decode().strip())
        ask("POST", "/seen")


async def talk():
    url = f"ws://{target.netloc}/talk"
    async with websockets.connect(url, subprotocols=["chat"]) as socket:
        print("talk", socket.subprotocol)
        for text in ["hello", "größer", "x" * 70000]:
            await socket.send(text)
            upper, reverse = await socket.recv(), await socket.recv()
            print(len(upper), hashlib.sha256(upper.encode()).hexdigest()[:16], hashlib.sha256(reverse).hexdigest()[:16])
        pong = await socket.ping(b"there?")
        await asyncio.wait_for(pong, 20)
        await socket.send("bye")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print("closed", closed.rcvd.code, closed.rcvd.reason)
    try:
        async with websockets.connect(f"ws://{target.netloc}/nowhere"):
            print("a WebSocket where there is none")
    except websockets.InvalidStatus as refused:
        print("nowhere", refused.response.status_code)


ask("GET", "/hello?name=gr%C3%B6%C3%9Fer")
ask("PUT", "/upload", b"x" * 3_000_000)
ask("POST", "/upload", iter([b"piece"] * 1000), {"transfer-encoding": "chunked"})
ask("GET", "/broken")
ask("DELETE", "/hello")
stream()
asyncio.run(talk())
