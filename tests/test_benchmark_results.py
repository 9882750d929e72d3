"""The benchmark's rows: what a run of some measures does to the docs."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def results(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
    return pytest.importorskip("results")


def row(results, what, group="forwarder", figure="wall", **more):
    given = {"ours": 1e-4, "other": 2e-4, "against": "x", "ratio": 0.5, "min": 0.4, "max": 0.6}
    return results.Row(group, what, figure, **{**given, "aim": 1.5, "rounds": 5, **more})


def test_a_run_of_some_measures_replaces_their_rows_and_leaves_the_others(results, tmp_path):
    first, second = results.MEASURES[:2]
    old = [row(results, one.what, one.group, one.figure, ratio=1.7) for one in (first, second)]
    gone = row(results, "no such measure any more")
    results.write(tmp_path / "kept.json", [*old, gone], {"rounds": 3})
    kept = results.kept_rows(tmp_path / "kept.json")
    assert kept == old
    new = row(results, second.what, second.group, second.figure, ratio=0.1)
    assert results.merged(kept, [new]) == [old[0], new]
    assert results.merged(results.kept_rows(tmp_path / "none.json"), [new]) == [new]


def test_the_table_has_a_line_for_each_row_and_says_what_was_missed(results):
    rows = [row(results, "one"), row(results, "two", ratio=1.51, figure="bytes", ours=2**20)]
    head, group, one, two = results.table(rows).splitlines()
    assert head.split() == ["ours", "other", "ratio", "min", "max", "aim"]
    assert group == "forwarder"
    assert one.split() == ["one", "100.00µs", "200.00µs", "0.50", "0.40", "0.60", "1.50"]
    assert two.split()[1:] == ["1.0MiB", "0.0MiB", "1.51", "0.40", "0.60", "1.50", "missed"]


def test_the_forwarders_tables_have_all_their_cells_with_the_spread(results):
    rows = [
        row(results, one.what, figure=one.figure, ratio=0.01 * number)
        for number, one in enumerate(results.MEASURES)
        if one.group == "forwarder"
    ]
    text = results.forwarder_tables(rows, "on a machine")
    assert len(rows) == 18
    for one in rows:
        assert text.count(f"**{one.ratio:.2f}** (0.40 to 0.60)") == 1
    assert "Medians of 5 rounds" in text
    assert "on a machine" in text
