# The product, and beside it what says every two seconds how much of the heap is used: for
# tests/boards/heap.py. Frozen, since the code of a main.py is on the heap that it measures.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import asyncio
import gc


def say(what):
    gc.collect()
    print("heap %s used=%d free=%d" % (what, gc.mem_alloc(), gc.mem_free()))


async def _watch():
    while True:
        await asyncio.sleep(2)
        say("running")


def main():
    say("start")
    import lwm2m_app

    say("imported")
    serve = lwm2m_app.serve

    def watched(client, product):
        asyncio.create_task(_watch())
        return serve(client, product)

    lwm2m_app.serve = watched
    return lwm2m_app.main()
