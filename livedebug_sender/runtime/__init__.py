"""The host process: forks, exits, signals, threads, late imports. Knows nothing of payloads.

====================  ================================================================
``fork``              knows that this process is a fork of another
``shutdown``          closes at the exit what was forgotten
``threads``           starts a thread, in whatever host
``host_signals``      knows an exception of the host's signal handler
``signal_safe_lock``  a lock that such an exception can't leave taken
``atomic``            a number that is added to without a lock
``auto_reset_event``  wakes one sleeping thread, from anywhere
``clock``             goes on when a host stops its own
``broken_pipes``      keeps SIGPIPE from a host that takes it
``lazy_import``       imports late, without side effects on the host
``own_modules``       keeps our modules, whatever the host drops from ``sys.modules``
``container``         which container this process runs in
``log_limiter``       a problem that repeats: one line, then its count
``log_reporter``      writes those lines in time
====================  ================================================================

Imports: nothing of this library.
"""
