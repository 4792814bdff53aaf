"""An app for any ASGI server: JSON, a stream, an upload, a WebSocket."""

import asyncio
import hashlib
import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

go_on = asyncio.Event()


async def health(request):
    return PlainTextResponse("ok")


async def hello(request):
    response = JSONResponse({"name": request.query_params.get("name", "world"), "scheme": request.url.scheme})
    response.set_cookie("seen", "yes", httponly=True, samesite="lax")
    return response


async def stream(request):
    async def lines():
        for i in range(5):
            yield f"line {i}\n".encode()
            await go_on.wait()
            go_on.clear()

    return StreamingResponse(lines(), media_type="text/plain")


async def seen(request):
    go_on.set()
    return PlainTextResponse("", status_code=204)


async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for piece in request.stream():
        digest.update(piece)
        size += len(piece)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def talk(socket):
    await socket.accept(subprotocol="chat" if "chat" in socket.scope["subprotocols"] else None)
    async for text in socket.iter_text():
        if text == "bye":
            await socket.close(code=4001, reason="as you wish")
            return
        await socket.send_text(text.upper())
        await socket.send_bytes(text.encode()[::-1])


async def broken(request):
    raise RuntimeError("a bug")


app = Starlette(
    routes=[
        Route("/healthz", health),
        Route("/hello", hello),
        Route("/stream", stream),
        Route("/seen", seen, methods=["POST"]),
        Route("/upload", upload, methods=["POST", "PUT"]),
        Route("/broken", broken),
        WebSocketRoute("/talk", talk),
    ]
)

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8000")), log_level="warning")
