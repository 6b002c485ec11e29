"""A thread a connection, which hands the calls to a pool of other threads and waits for them.

What is done after the answer is handed over, too, and nobody waits.
"""

import concurrent.futures
import time

import common

POOL = common.Pool()
# Enough for what 64 clients want at the same time, fan-out included.
EXECUTOR = concurrent.futures.ThreadPoolExecutor(max_workers=96)


def make(request, call):
    common.tell(request, POOL.call(*call))


def make_later(request, call):
    time.sleep(common.pause())
    make(request, call)


class Handler(common.Handler):
    def work(self, request, calls):
        for future in [EXECUTOR.submit(make, request, call) for call in calls]:
            future.result()

    def after(self, request, calls):
        for call in calls:
            EXECUTOR.submit(make_later, request, call)


common.start_timer(POOL)
common.serve(Handler)
