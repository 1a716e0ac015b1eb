# docker build -t bnnjax . && docker run --rm -v "$PWD:/work" bnnjax stylize --content=boat.jpg --style=wave.jpg
FROM python:3.12-slim
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY bnnjax bnnjax
COPY launch launch
RUN pip install --no-cache-dir '.[plot,port]' && rm -rf /src
# Compiled programs and downloaded networks are kept where a volume may be mounted.
ENV BNNJAX_CACHE=/cache
WORKDIR /work
ENTRYPOINT ["bnnjax"]
CMD ["--help"]
