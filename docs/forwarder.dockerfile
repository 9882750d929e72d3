FROM python:3.13-slim
RUN pip install --no-cache-dir 'livedebug-sender[forwarder]'
USER nobody
# Inside a container loopback is the container itself: listen to its network.
ENV LIVEDEBUG_FORWARDER_LISTEN=0.0.0.0:8126
EXPOSE 8126
# As a list: SIGTERM has to reach the forwarder, not a shell.
ENTRYPOINT ["livedebug-sender", "forward"]
