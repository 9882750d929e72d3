"""The host process: forks, exits, signals, threads, lazy imports. Knows nothing about payloads.

====================  ================================================================
``fork``              detects that this process is a fork of another
``shutdown``          closes senders that are still open at exit
``threads``           starts threads in any host
``host_signals``      recognizes exceptions from the host's signal handlers
``signal_safe_lock``  a lock that such an exception can't leave held
``atomic``            an integer with an atomic add
``auto_reset_event``  wakes one sleeping thread, from anywhere
``clock``             clocks that a host can't freeze
``broken_pipes``      suppresses SIGPIPE where the host has not ignored it
``lazy_import``       imports late, without side effects on the host
``own_modules``       keeps our modules, even if the host removes them from ``sys.modules``
``container``         the container that this process runs in
``log_limiter``       rate limit: one line for a repeated problem, then its count
``log_reporter``      writes those lines in time
====================  ================================================================

Imports: nothing of this library.
"""
