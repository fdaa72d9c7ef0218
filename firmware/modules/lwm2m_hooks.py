# What the client calls where a Bootstrap-Server may bring another configuration.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# None of it keeps lwm2m_begin. A device without a Bootstrap-Server lets go of this one too.


def check_keys(keys):
    """What OSCORE takes as check."""
    from lwm2m_begin import check_keys

    check_keys(keys)


def hooks(store, config, random):
    """What Client takes as secure and on_config."""

    def secure(security, keys):
        from lwm2m_begin import secure

        return secure(config, random, keys)

    def commit(objects):
        from lwm2m_begin import commit

        commit(store, config, objects)

    return secure, commit
