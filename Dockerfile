FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HEARTBEAT_DATA_DIR=/data

WORKDIR /app

# The requirements change less often than the code, so they come first and stay cached.
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY . .

# No root: the service writes nothing but its data folder.
RUN useradd --system --uid 10001 --no-create-home heartbeat \
    && install -d -o heartbeat -g heartbeat -m 0700 /data
USER heartbeat
VOLUME /data

EXPOSE 5000

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', '5000')}/health/ready\", timeout=4)"]

CMD ["python", "app.py"]
