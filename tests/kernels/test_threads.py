"""The thread team: order of results, exceptions, nesting, and nothing left behind."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minigan.kernels.threads import ThreadTeam


@pytest.fixture(params=[1, 2, 4])
def team(request):
    return ThreadTeam(request.param)


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_results_come_in_the_order_of_the_items(team):
    for _ in range(200):
        assert team.run(lambda i: i * i, range(17)) == [i * i for i in range(17)]
    assert team.run(lambda i: i, []) == []


def test_work_is_done_on_several_threads():
    team = ThreadTeam(3)
    together = threading.Barrier(3, timeout=20)
    names = team.run(lambda _: (together.wait(), threading.current_thread().ident)[1], range(3))
    assert len(set(names)) == 3


@pytest.mark.parametrize("where", [0, 5, 39])
def test_the_original_exception_surfaces_and_the_rest_is_not_started(team, where):
    class Unlucky(Exception):
        pass

    error, started = Unlucky("number"), []

    def work(i):
        started.append(i)
        if i == where:
            raise error
        time.sleep(0.001)

    with pytest.raises(Unlucky) as caught:
        team.run(work, range(40))
    assert caught.value is error
    assert len(started) <= where + team.threads
    assert team.run(lambda i: -i, range(5)) == [0, -1, -2, -3, -4]


def test_no_item_is_under_way_after_an_exception():
    team, running = ThreadTeam(4), []

    def work(i):
        running.append(i)
        try:
            if i == 0:
                raise KeyboardInterrupt
            time.sleep(0.02)
        finally:
            running.remove(i)

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            team.run(work, range(8))
        assert running == []


def test_a_run_ends_with_its_last_item_whoever_else_finds_nothing_to_do():
    team = ThreadTeam(8)
    for attempt in range(300):
        finished = []

        def work(i, finished=finished, attempt=attempt):
            time.sleep(1e-5 * (attempt % 20) * (i == 2))
            finished.append(i)

        team.run(work, range(8))
        assert sorted(finished) == list(range(8))


def test_a_run_inside_a_run_is_serial(team):
    def inner(i):
        return i, threading.current_thread().ident

    def outer(i):
        results = team.run(inner, range(4))
        assert [r[0] for r in results] == [0, 1, 2, 3]
        assert {r[1] for r in results} == {threading.current_thread().ident}
        return i

    assert team.run(outer, range(6)) == list(range(6))


def test_blas_runs_on_one_thread_inside_and_is_restored(team):
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert all(set(inside) <= {1} for inside in team.run(lambda _: blas_threads(), range(5)))
        assert blas_threads() == before
        with pytest.raises(ZeroDivisionError):
            team.run(lambda i: 1 // i, range(5))
        assert blas_threads() == before


def test_blas_can_be_kept_on_one_thread_for_good():
    with threadpool_limits(2, user_api="blas"):
        team = ThreadTeam(2)
        team.keep_from_blas()
        assert set(blas_threads()) == {1}
        team.run(abs, range(5))
        assert set(blas_threads()) == {1}
        team.keep_from_blas(False)
        assert set(blas_threads()) == {2}


def test_blas_is_kept_on_one_thread_whoever_changes_it():
    with threadpool_limits(2, user_api="blas"):
        team = ThreadTeam(2)
        team.keep_from_blas()
        ThreadTeam(2)
        assert all(set(inside) <= {1} for inside in team.run(lambda _: blas_threads(), range(5)))


def test_workers_end_with_the_team():
    others = set(threading.enumerate())
    teams = [ThreadTeam(3) for _ in range(4)]
    workers = set(threading.enumerate()) - others
    assert len(workers) == 8 and all(worker.daemon for worker in workers)
    teams[0].run(np.zeros, range(10))
    del teams
    for worker in workers:
        worker.join(timeout=20)
    assert not any(worker.is_alive() for worker in workers)


def test_a_finished_run_holds_on_to_nothing():
    class Thing:
        pass

    import weakref

    team, thing = ThreadTeam(2), Thing()
    gone = weakref.ref(thing)
    team.run(lambda i, thing=thing: thing is None, range(2))
    del thing
    deadline = time.monotonic() + 20
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone() is None


@pytest.mark.parametrize("threads", [0, -1])
def test_at_least_one_thread(threads):
    with pytest.raises(ValueError, match="at least 1"):
        ThreadTeam(threads)
