# Boards at work beside the test that pytest runs: one fewer than there are cores.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A test file that has a function add_jobs(farm, items) gives its work in before the first test
# runs; its tests then ask for the results. Who asks for a job that nobody has begun does it, and
# who has to wait for one does another meanwhile, so that no core is idle.

import os
import threading
import traceback

WAIT_S = 1500


class Job:
    """work(put, stopping) calls put(name, value) for each of the names."""

    def __init__(self, work):
        self.work = work
        self.taken = self.over = False
        self.results = {}
        self.error = None
        self.changed = threading.Condition()

    def put(self, name, value):
        with self.changed:
            self.results[name] = value
            self.changed.notify_all()

    def do(self, stopping):
        try:
            self.work(self.put, stopping)
        except BaseException:
            self.error = traceback.format_exc()
        with self.changed:
            self.over = True
            self.changed.notify_all()


class Farm:
    def __init__(self):
        self.jobs = {}
        self._lock = threading.Lock()
        self._threads = []
        self.stopping = threading.Event()

    def add(self, key, work):
        self.jobs[key] = Job(work)

    def start(self):
        for _ in range((os.cpu_count() or 1) - 1):
            thread = threading.Thread(target=self._run, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _take(self, jobs):
        with self._lock:
            for job in jobs:
                if not job.taken:
                    job.taken = True
                    return job

    def _run(self):
        while not self.stopping.is_set():
            job = self._take(self.jobs.values())
            if not job:
                return
            job.do(self.stopping)

    def result(self, key, name):
        """What the job has put under that name. RuntimeError when it ended without."""
        job = self.jobs[key]
        if self._take([job]):
            job.do(self.stopping)
        while name not in job.results and not job.over:
            other = self._take(self.jobs.values())
            if not other:
                break
            other.do(self.stopping)
        with job.changed:
            if not job.changed.wait_for(lambda: name in job.results or job.over, WAIT_S):
                raise RuntimeError("%s: nothing in %d s" % (key, WAIT_S))
            if name not in job.results:
                raise RuntimeError(job.error or "%s ended without %s" % (key, name))
            return job.results[name]

    def stop(self):
        self.stopping.set()
        for thread in self._threads:
            thread.join(10)
