"""gunicorn --preload --workers 2 app:app"""

from urllib.parse import parse_qsl

import shop
from tracer import Probe, Tracer

tracer = Tracer("shop")
tracer.install(Probe("checkout-total", line=7), shop.checkout)


def app(environ, start_response):
    order = {item: float(price) for item, price in parse_qsl(environ["QUERY_STRING"])}
    answer = f"{shop.checkout(order)}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer]
