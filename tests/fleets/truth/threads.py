"""A thread a connection; it makes the calls of its requests one after the other, over pooled connections."""

import common

POOL = common.Pool()


class Handler(common.Handler):
    def work(self, request, calls):
        for call in calls:
            common.tell(request, POOL.call(*call))


common.start_timer(common.Pool())
common.serve(Handler)
