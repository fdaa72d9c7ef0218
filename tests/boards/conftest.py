# Starts the farm with what the selected tests give it.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import pytest
from farm import Farm

_farm = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    # The others first: they keep one core busy while the farm does its longest jobs on the others.
    items.sort(key=lambda item: hasattr(getattr(item, "module", None), "add_jobs"))


def pytest_collection_finish(session):
    if session.config.option.collectonly:
        return
    farm = session.config.stash[_farm] = Farm()
    modules = {}
    for item in session.items:
        if hasattr(getattr(item, "module", None), "add_jobs"):
            modules.setdefault(item.module, []).append(item)
    for module, items in modules.items():
        module.add_jobs(farm, items)
    farm.start()


def pytest_sessionfinish(session):
    farm = session.config.stash.get(_farm, None)
    if farm:
        farm.stop()


@pytest.fixture(scope="session")
def farm(request):
    return request.config.stash[_farm]
