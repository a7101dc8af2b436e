FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements/base.txt requirements/kafka.txt requirements/
# The CPU build of torch; the default one brings gigabytes for graphics cards.
RUN pip install --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
 && pip install -r requirements/base.txt -r requirements/kafka.txt

RUN useradd --create-home --uid 10001 emend \
 && install --directory --owner emend --group emend --mode 0700 /data /erasures /backups
COPY . .

USER emend
ENV EMEND_DATA_DIR=/data
VOLUME /data /erasures /backups
EXPOSE 8000

CMD ["granian", "--interface", "wsgi", "--no-ws", "--host", "0.0.0.0", "--port", "8000", \
     "--workers", "2", "--blocking-threads", "4", "--respawn-failed-workers", \
     "config.wsgi:application"]
