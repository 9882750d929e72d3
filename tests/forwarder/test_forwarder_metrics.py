"""The page for Prometheus."""

from __future__ import annotations

import re

from running_forwarder import ROUTES, running
from sample_data import KEY
from servers import RecordingServer, free_port

from livedebug_sender import Stats
from livedebug_sender.forwarder.counters import Counters
from livedebug_sender.forwarder.metrics import BUCKETS, SLOTS, Metrics, state_of

V1, V2 = ROUTES[0], ROUTES[2]
SAMPLE = re.compile(r'[a-z_]+(\{([a-z]+="[^"\\\n]*",?)+\})? [0-9.e+-]+(inf)?\Z')


def page_of(*counts: tuple[str, int, bool, int, float]) -> list[str]:
    metrics = Metrics(Counters(SLOTS).column())
    for count in counts:
        metrics.count(*count)
    state = state_of(Stats(delivered=3, retries=4), None)
    return metrics.page((1, 2), [state]).decode().splitlines()


def test_each_line_is_one_of_the_format_and_each_family_has_its_type():
    families: set[str] = set()
    for line in page_of((V2, 202, True, 10, 0.01), (V2, 503, False, 0, 99.0)):
        if line.startswith("# TYPE "):
            families.add(line.split()[2])
            assert line.split()[3] in ("counter", "gauge", "histogram")
        elif not line.startswith("# HELP "):
            assert SAMPLE.match(line), line
            name = re.sub("_(bucket|sum|count)$", "", re.split("[{ ]", line)[0])
            assert name in families, line


def test_requests_are_counted_by_route_status_and_who_answered():
    page = page_of((V2, 202, True, 10, 0.01), (V2, 202, True, 5, 0.2), (V1, 504, False, 1, 3))
    name = "livedebug_forwarder_requests_total"
    assert f'{name}{{by="intake",route="{V2}",status="202"}} 2.0' in page
    assert f'{name}{{by="forwarder",route="{V1}",status="504"}} 1.0' in page
    assert f'livedebug_forwarder_request_bytes_total{{route="{V2}"}} 15.0' in page


def test_the_histogram_is_cumulative():
    page = page_of((V2, 202, True, 0, 0.01), (V2, 202, True, 0, 0.2), (V2, 504, False, 0, 60))
    numbers = [line.rpartition(" ")[2] for line in page if "_bucket{" in line]
    assert numbers == ["0.0", "1.0", "1.0", "2.0", "2.0", "2.0", "2.0", "3.0"]
    assert len(numbers) == len(BUCKETS) + 1
    assert f'livedebug_forwarder_request_seconds_count{{route="{V2}"}} 3.0' in page


def test_the_page_is_served_and_no_request_gets_a_word_into_it():
    nobody = f"http://127.0.0.1:{free_port()}"
    with RecordingServer() as intake, running(intake.url, nobody) as forwarder:
        forwarder.post(ROUTES[2], X_Datadog_Additional_Tags="chosen-by-request")
        forwarder.post("/chosen-by-request")
        forwarder.ask("CHOSEN-BY-REQUEST", ROUTES[2])
        answered = forwarder.get("/metrics")
    text = answered.body.decode()
    assert answered.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    line = f'requests_total{{by="intake",route="{ROUTES[2]}",status="202"}} 1.0'
    assert f"livedebug_forwarder_{line}\n" in text
    assert "chosen-by-request" not in text.lower()
    assert KEY not in text
