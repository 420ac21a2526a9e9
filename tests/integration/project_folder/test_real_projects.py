"""Folders as people keep them, compared byte for byte with what is collected of them."""

from __future__ import annotations

from pathlib import Path

from adapters.project_folder.collecting import collect
from tests.integration.project_folder.folders import Content, contents, make, picked

WHERE = "services.web"


def test_a_compose_file_alone(tmp_path: Path) -> None:
    text = "name: ${NAME:-blog}\nservices:\n  web: {image: 'nginx:1.27', volumes: ['data:/data']}\n"
    make(tmp_path, {"compose.yaml": text, "README.md": "not sent", ".git/config": "not sent"})
    project = collect(tmp_path)
    assert project.compose == text.encode()
    assert (project.name, project.compose_path) == ("blog", "compose.yaml")
    assert (project.env, project.files, project.notes) == (None, (), ())
    assert project.total_bytes == len(text)


def test_wordpress_with_variables_and_a_mounted_configuration(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "docker-compose.yml": """
name: $PROJECT
services:
  web:
    image: wordpress:${TAG}
    env_file: .env
    environment: {WORDPRESS_DB_PASSWORD: '${DB_PASSWORD:?}'}
    volumes:
      - ./php.ini:/usr/local/etc/php/conf.d/custom.ini:ro
      - html:/var/www/html
      - /etc/localtime:/etc/localtime:ro
      - ./docker-compose.yml:/srv/compose.yml:ro
      - ./.env:/srv/env:ro
volumes: {html: }
""",
        ".env": "PROJECT=shop\nTAG=6\nDB_PASSWORD='a $b'\n",
        "php.ini": "upload_max_filesize = 64M\n",
        "notes.txt": "not sent",
    }
    project = collect(make(tmp_path, files))
    assert project.name == "shop"
    assert project.compose == picked(files, "docker-compose.yml")["docker-compose.yml"]
    assert project.env == picked(files, ".env")[".env"]
    assert contents(project) == picked(files, "php.ini")
    assert project.notes == (
        (
            "docker-compose.yml: services.web.volumes[2]: '/etc/localtime' stays on the host: it is not "
            "sent."
        ),
    )
    sent = ("docker-compose.yml", ".env", "php.ini")
    assert project.total_bytes == sum(len(files[path]) for path in sent)


def test_a_monitoring_stack_with_configs_secrets_and_profiles(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yml": """
x-logging: &logging {logging: {driver: local}}
services:
  prometheus:
    <<: *logging
    image: prom/prometheus
    configs: [prometheus]
    volumes: ['./rules:/etc/prometheus/rules:ro', 'data:/prometheus']
  grafana:
    <<: *logging
    image: grafana/grafana
    profiles: [dashboards]
    secrets: [admin, token]
    volumes:
      - {type: bind, source: ./grafana/provisioning, target: /etc/grafana/provisioning}
      - {type: bind, source: ./grafana, target: /srv/all, read_only: true}
configs:
  prometheus: {file: ./prometheus.yml}
secrets:
  admin: {file: secrets/admin.txt}
  token: {environment: GRAFANA_TOKEN}
volumes: {data: }
""",
        "prometheus.yml": "scrape_configs: []\n",
        "rules/a.yml": "groups: []\n",
        "rules/deep/er/b.yml": "groups: [b]\n",
        "grafana/provisioning/datasources/x.yaml": "datasources: []\n",
        "grafana/dashboard.json": '{"a": 1}',
        "secrets/admin.txt": "hunter2",
        "secrets/unused.txt": "not sent",
    }
    project = collect(make(tmp_path, files))
    sent = [path for path in files if path not in ("compose.yml", "secrets/unused.txt")]
    assert contents(project) == picked(files, *sent)
    assert [file.path for file in project.files] == sorted(sent)
    assert project.notes == (
        (
            "compose.yml: secrets.token.environment: the variable GRAFANA_TOKEN is in no env file, and "
            "the environment of this shell is not sent: the host has to have it."
        ),
    )


def test_an_image_that_is_built_without_what_its_dockerignore_leaves_out(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "docker-compose.yml": "services: {web: {build: ., volumes: ['./conf:/conf']}}\n",
        "Dockerfile": "FROM python\nCOPY . .\n",
        ".dockerignore": (
            "# comment\n.git\nnode_modules\n**/*.pyc\nDockerfile\n*.md\n!README.md\n"
            ".dockerignore\nconf\nlogs\n!logs/keep.txt\nlink\n"
        ),
        "main.py": "print()\n",
        "README.md": "taken back",
        "CHANGES.md": "not sent",
        "pkg/a.py": "a = 1\n",
        "pkg/a.pyc": b"\x00not sent",
        "node_modules/x/index.js": "not sent",
        ".git/config": "not sent",
        "conf/app.toml": "mounted, and so sent all the same",
        "logs/big.log": "not sent",
        "logs/keep.txt": "kept",
        ".env": "A=1\n",
        ".instadeploy-notes": "not sent",
    }
    make(tmp_path, files)
    (tmp_path / "link").symlink_to("/etc/passwd")  # Left out: nobody looks at it.
    project = collect(tmp_path)
    assert contents(project) == picked(
        files, "Dockerfile", ".dockerignore", "main.py", "README.md", "pkg/a.py", "conf/app.toml",
        "logs/keep.txt",
    )  # fmt: skip
    assert project.notes == (
        ".instadeploy-notes is left out: the agent keeps such a name for itself.",
    )


def test_several_builds_with_dockerfiles_elsewhere(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": """
services:
  api:
    build: {context: ./api, dockerfile: ../docker/api.Dockerfile, additional_contexts: {lib: ./lib}}
  worker:
    build: {context: api, dockerfile: worker.Dockerfile}
  inline:
    build: {context: ./inline, dockerfile_inline: "FROM scratch\\nCOPY a /a"}
  remote:
    build: https://github.com/docker/awesome-compose.git
""",
        "docker/api.Dockerfile": "FROM a\n",
        "docker/api.Dockerfile.dockerignore": "*\n!src\n",
        "docker/other": "not sent",
        "api/.dockerignore": "src\n",
        "api/worker.Dockerfile": "FROM b\n",
        "api/src/main.go": "package main\n",
        "api/docs/x": "for the worker alone",
        "lib/.dockerignore": "skip\n",
        "lib/skip": "not sent",
        "lib/lib.go": "package lib\n",
        "inline/a": "a",
        "inline/Dockerfile": "sent as any other file",
    }
    project = collect(make(tmp_path, files))
    sent = [path for path in files if path not in ("compose.yaml", "docker/other", "lib/skip")]
    assert contents(project) == picked(files, *sent)
    assert project.notes == ()


def test_compose_files_that_include_and_extend_others(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": """
include:
  - backend/compose.yaml
  - {path: cache/redis.yml, env_file: cache/redis.env}
services:
  web:
    extends: {file: common/base.yml, service: web}
    env_file: [web.env, {path: missing.env, required: false}]
""",
        "web.env": "W=1\n",
        "common/base.yml": """
services:
  web: {extends: root, volumes: ['./static:/static:ro'], label_file: labels}
  root: {image: nginx, env_file: [base.env]}
  unused: {image: x, build: ./nowhere, env_file: nowhere.env}
""",
        "common/static/index.html": "<html>\n",
        "common/labels": "a=b\n",
        "common/base.env": "B=1\n",
        "backend/compose.yaml": "services: {api: {image: api, volumes: ['./${DIR}:/d']}}\n",
        "backend/.env": "DIR=from-env\n",
        "backend/from-env/file": "f",
        "cache/redis.yml": "services: {redis: {image: 'redis:${V}', configs: [c]}}\n"
        "configs: {c: {file: ./redis.conf}}\n",
        "cache/redis.env": "V=7\n",
        "cache/redis.conf": "save ''\n",
    }
    project = collect(make(tmp_path, files))
    assert contents(project) == picked(files, *(path for path in files if path != "compose.yaml"))
    assert project.notes == ()


def test_a_whole_project_mounted_for_development_with_nested_mounts(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "docker-compose.yml": "services:\n  web:\n    image: x\n"
        "    volumes: ['.:/app', './src/static:/static', './cache:/cache', './gone:/gone']\n",
        ".env": "A=1\n",
        "src/main.py": "main",
        "src/static/x.css": "css",
        "docker-compose.override.yml.off": "sent",
        "app/.env": "sent as well",
        "cache/": "",
        "src/empty/": "",
    }
    project = collect(make(tmp_path, files))
    assert contents(project) == picked(
        files, "src/main.py", "src/static/x.css", "docker-compose.override.yml.off", "app/.env"
    )
    assert project.env == b"A=1\n"
    assert project.notes == (
        (
            "docker-compose.yml: services.web.volumes[3]: gone is not there: Docker makes an empty "
            "directory of that name on the host, or refuses the mount."
        ),
        "cache, src/empty are empty directories: only files are sent.",
    )


def test_env_files_take_the_place_of_the_projects_own(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": "name: $NAME\nservices: {web: {image: x, volumes: ['./$DIR:/d', '.:/all']}}\n",
        ".env": "DIR=own\nNAME=own\n",
        "base.env": "DIR=base\nNAME=base",
        "prod.env": "DIR=${DIR}-prod\n",
        "base-prod/file": "f",
    }
    make(tmp_path, files)
    project = collect(tmp_path, env_files=[Path("base.env"), tmp_path / "prod.env"])
    assert project.env == b"DIR=base\nNAME=base\nDIR=${DIR}-prod\n"
    assert project.name == "base"
    assert contents(project) == picked(
        files, "compose.yaml", "base.env", "prod.env", "base-prod/file"
    )
    assert project.notes == (".env is left out: the agent keeps such a name for itself.",)
    assert collect(tmp_path, env_files=[Path(".env")]).env == b"DIR=own\nNAME=own\n"


def test_files_that_no_key_names_are_added(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        "compose.yaml": "services: {web: {image: x}}\n",
        "migrations/1.sql": "1", "migrations/2.sql": "2", "VERSION": "3",
    }  # fmt: skip
    make(tmp_path, files)
    project = collect(tmp_path, extra_files=[Path("migrations"), tmp_path / "VERSION"])
    assert contents(project) == picked(files, "migrations/1.sql", "migrations/2.sql", "VERSION")
