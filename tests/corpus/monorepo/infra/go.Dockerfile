FROM golang:1.22 AS compile
ARG SERVICE
COPY . /src
RUN cd /src/services/${SERVICE} && CGO_ENABLED=0 go install .
