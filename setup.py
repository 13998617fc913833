"""Install clusterd: six packages, the operator's commands and the three daemons.

The package names are generic, so install into a virtual environment of its own, never into a
shared site-packages. ``tests`` is never installed.
"""

from setuptools import find_packages, setup

GNT_COMMANDS = (
    "backup",
    "cluster",
    "debug",
    "filter",
    "group",
    "image",
    "instance",
    "job",
    "network",
    "node",
    "os",
    "storage",
)

HTOOLS = ("hail", "hbal", "hcheck", "hinfo", "hroller", "hscan", "hspace")
"""The names of Ganeti's tools for placement."""

setup(
    name="clusterd",
    version="0.1.0",
    description="A cluster manager for virtual machines with Ganeti's interfaces",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    packages=find_packages(
        include=["clusterd*", "jobqueue*", "storage*", "hypervisors*", "cli*", "rapi*"]
    ),
    package_data={"clusterd": ["share/**/*", "py.typed"]},
    include_package_data=True,
    install_requires=[
        "twisted[tls]>=24.11",
        "treq>=24.9",
        "msgspec>=0.19",
        "numpy>=1.26",
        "pyparsing>=3.1",
        "paramiko>=3.5",
        "cryptography>=43",
        "service-identity>=24.2",
        "pyopenssl>=24.3",
        "click>=8.1",
        "rich>=13.9",
        "structlog>=24.4",
        "prometheus-client>=0.21",
        "pyroute2>=0.7",
        "libvirt-python>=9",
        "pycdlib>=1.14",
        "regex>=2024.9",
    ],
    extras_require={
        "test": [
            "pytest>=8,<9.2",  # 9.2 hides from pytest-xdist 3.8 which tests belong together
            "pytest-xdist>=3.6",
            "hypothesis>=6.120",
            "import-linter>=2.1",
            "ruff>=0.8",
            "mypy>=1.13",
            "types-paramiko",
            "types-regex",
            "pycurl",
            "simplejson",
        ]
    },
    entry_points={
        "console_scripts": [
            *(f"gnt-{name} = cli.main:{name}" for name in GNT_COMMANDS),
            *(f"{name} = cli.htools.{name}:main" for name in HTOOLS),
            "clusterd-master = cli.daemons:master",
            "clusterd-node = cli.daemons:node",
            "clusterd-rapi = cli.daemons:rapi",
            "clusterd-store = cli.daemons:store",
        ]
    },
)
