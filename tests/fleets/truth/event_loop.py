"""aiohttp: one thread, one event loop, a pooled client; the calls of a fan-out at the same time."""

import asyncio
import threading

import aiohttp
import common
from aiohttp import web

# What runs after an answer; a task that nobody holds may be collected.
LATER = set()


async def make(session, request, call):
    method, target, headers = call
    body = b"{}" if method == "POST" else None
    url = f"http://127.0.0.1:{common.BACKEND}{target}"
    async with session.request(method, url, data=body, headers=headers) as response:
        await response.read()
        common.tell(request, response.headers["X-Call"])


async def handle(inbound):
    session = inbound.app["session"]
    route, request, query = common.split(inbound.path_qs)
    calls = [
        (method, f"{path}?{query}", common.outgoing(path, inbound.headers)) for method, path in common.CALLS[route]
    ]

    async def work(delay=0.0):
        await asyncio.sleep(delay)
        await asyncio.gather(*(make(session, request, call) for call in calls))

    if route == "late":
        task = asyncio.create_task(work(common.pause()))
        LATER.add(task)
        task.add_done_callback(LATER.discard)
        return web.Response(status=202, text="ok\n")
    await work()
    return web.Response(text="ok\n")


async def timer(session):
    while True:
        await asyncio.sleep(common.period())
        await make(session, "-", ("GET", "/config", {}))


async def main():
    app = web.Application()
    app.router.add_get("/{route}/{id}", handle)
    async with aiohttp.ClientSession() as session:
        app["session"] = session
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", common.PORT)
        await site.start()
        if common.TIMER:
            LATER.add(asyncio.create_task(timer(session)))
        common.listening(runner.addresses[0][1])
        await asyncio.Event().wait()


threading.Thread(target=common.end_with_stdin, daemon=True).start()
asyncio.run(main())
