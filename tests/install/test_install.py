"""Installs into a temporary DESTDIR, and builds programs against that."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["BUILD"]
CMAKE = os.environ["CMAKE"]
CC = os.environ["CC"]
CXX = os.environ["CXX"]
VERSION = os.environ["VERSION"]
SOVERSION = os.environ["SOVERSION"]
LIBDIR = os.environ["LIBDIR"]
SANITIZE = [f"-fsanitize={os.environ['SANITIZE']}"] \
    if os.environ.get("SANITIZE") else []
HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = "/opt/kadmium"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True,
                            timeout=200, **options)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{result.stdout}\n"
                             f"{result.stderr}")
    return result.stdout


class Install(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="kadmium-install-")
        cls.destdir = cls.directory.name
        run(CMAKE, "--install", BUILD, "--prefix", PREFIX,
            env={**os.environ, "DESTDIR": cls.destdir})
        cls.root = cls.destdir + PREFIX
        cls.include = cls.root + "/include"
        cls.lib = f"{cls.root}/{LIBDIR}"
        cls.pc = cls.lib + "/pkgconfig"

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def work(self):
        directory = tempfile.mkdtemp(dir=self.destdir)
        self.addCleanup(shutil.rmtree, directory)
        return directory

    def pkg_config(self, *arguments):
        return run("pkg-config", f"--define-variable=prefix={self.root}",
                   *arguments, "kadmium",
                   env={**os.environ, "PKG_CONFIG_PATH": self.pc}).split()

    def check_runs(self, program, libdir=None):
        environment = dict(os.environ)
        if libdir:
            environment["LD_LIBRARY_PATH"] = libdir
        self.assertEqual(run(program, env=environment),
                         f"kadmium {VERSION} works\n")

    def needed(self, program):
        return re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", program))

    # ---- what is there ----------------------------------------------------

    def test_prefix_stays(self):
        with open(self.pc + "/kadmium.pc") as file:
            text = file.read()
        self.assertIn(f"prefix={PREFIX}\n", text)
        self.assertNotIn(self.destdir, text)
        self.assertIn(f"Version: {VERSION}\n", text)
        for name in ["kadmium-config.cmake", "kadmium-config-version.cmake"]:
            with open(f"{self.lib}/cmake/kadmium/{name}") as file:
                text = file.read()
            self.assertNotIn(self.destdir, text)
            self.assertNotIn(BUILD, text)

    def test_soname(self):
        library = self.lib + "/libkadmium.so"
        self.assertEqual(os.readlink(library), f"libkadmium.so.{SOVERSION}")
        self.assertEqual(os.readlink(f"{library}.{SOVERSION}"),
                         f"libkadmium.so.{VERSION}")
        dynamic = run("readelf", "-d", library)
        self.assertIn(f"[libkadmium.so.{SOVERSION}]", dynamic)
        self.assertNotIn("RUNPATH", dynamic)
        self.assertNotIn("RPATH", dynamic)

    def test_exports(self):
        lines = run("nm", "-D", "--defined-only",
                    self.lib + "/libkadmium.so").splitlines()
        names = [line.split()[-1].split("@")[0] for line in lines]
        names = [n for n in names if not n.startswith("__odr_asan")]
        self.assertIn("kad_node_new", names)
        for name in names:
            self.assertRegex(name, r"^kad_(?!_)")
        # And all that the headers promise is there.
        promised = set()
        for header in self.headers():
            with open(f"{self.include}/kadmium/{header}") as file:
                promised |= set(re.findall(
                    r"KAD_API\s[^;{]*?\b(kad_\w+)\(", file.read()))
        self.assertGreater(len(promised), 40)
        self.assertEqual(promised - set(names), set())

    def test_command(self):
        path = self.root + "/bin/kadmium"
        if not os.path.exists(BUILD + "/kadmium"):
            self.skipTest("built without the command")
        self.assertEqual(run(path, "--version"), f"kadmium {VERSION}\n")
        self.assertNotIn("libkadmium.so." + SOVERSION, self.needed(path))

    # ---- headers ----------------------------------------------------------

    def headers(self):
        return sorted(os.listdir(self.include + "/kadmium"))

    def test_headers_alone(self):
        self.assertIn("kadmium.h", self.headers())
        for header in self.headers():
            text = f"#include <kadmium/{header}>\n" \
                   f"#include <kadmium/{header}>\n"
            run(CC, "-x", "c", "-std=c11", *STRICT, "-Wstrict-prototypes",
                "-fsyntax-only", "-I", self.include, "-", input=text)
            run(CXX, "-x", "c++", "-std=c++17", *STRICT, "-fsyntax-only", "-I",
                self.include, "-", input=text)

    def test_headers_show_no_other_library(self):
        for header in self.headers():
            with open(f"{self.include}/kadmium/{header}") as file:
                includes = re.findall(r"#include [<\"]([^>\"]+)", file.read())
            for name in includes:
                self.assertTrue(
                    name.startswith("kadmium/") or
                    name in ("stdbool.h", "stddef.h", "stdint.h"),
                    (header, name))

    # ---- pkg-config -------------------------------------------------------

    def test_pkg_config_shared(self):
        work = self.work()
        for compiler, standard, source in [(CC, "-std=c11", "program.c"),
                                           (CXX, "-std=c++17", "program.cpp")]:
            program = f"{work}/{source}.out"
            run(compiler, standard, "-Wall", "-Wextra", "-Werror", *SANITIZE,
                f"{HERE}/{source}", "-o", program,
                *self.pkg_config("--cflags", "--libs"))
            self.assertIn("libkadmium.so." + SOVERSION, self.needed(program))
            self.assertNotIn("libuv.so.1", self.needed(program))
            self.check_runs(program, self.lib)

    def test_pkg_config_static(self):
        work = self.work()
        shutil.copy(self.lib + "/libkadmium.a", work)
        flags = [work if flag == self.lib else flag.replace(
            "-L" + self.lib, "-L" + work)
            for flag in self.pkg_config("--static", "--cflags", "--libs")]
        for compiler, standard, source in [(CC, "-std=c11", "program.c"),
                                           (CXX, "-std=c++17", "program.cpp")]:
            program = f"{work}/{source}.out"
            run(compiler, standard, *SANITIZE, f"{HERE}/{source}", "-o",
                program, *flags)
            self.assertNotIn("libkadmium.so." + SOVERSION,
                             self.needed(program))
            self.check_runs(program)

    # ---- CMake ------------------------------------------------------------

    def build_with_cmake(self, languages, version=""):
        work = self.work()
        lines = ["cmake_minimum_required(VERSION 3.25)",
                 f"project(user LANGUAGES {languages})",
                 "set(CMAKE_CXX_STANDARD 17)",
                 f"find_package(kadmium {version} REQUIRED)"]
        programs = []
        for language, source in [("C", "program.c"), ("CXX", "program.cpp")]:
            if language not in languages.split():
                continue
            for kind, target in [("shared", "kadmium"), ("static", "static")]:
                name = f"{language.lower()}_{kind}"
                lines += [f"add_executable({name} {HERE}/{source})",
                          f"target_link_libraries({name} PRIVATE "
                          f"kadmium::{target})"]
                programs.append((name, kind))
        with open(work + "/CMakeLists.txt", "w") as file:
            file.write("\n".join(lines) + "\n")
        flags = " ".join(SANITIZE)
        run(CMAKE, "-S", work, "-B", work + "/b", "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={self.root}", f"-DCMAKE_C_COMPILER={CC}",
            f"-DCMAKE_CXX_COMPILER={CXX}", f"-DCMAKE_C_FLAGS={flags}",
            f"-DCMAKE_CXX_FLAGS={flags}")
        run(CMAKE, "--build", work + "/b")
        for name, kind in programs:
            program = f"{work}/b/{name}"
            self.assertEqual("libkadmium.so." + SOVERSION
                             in self.needed(program), kind == "shared")
            self.check_runs(program)

    def test_cmake(self):
        self.build_with_cmake("C CXX", ".".join(VERSION.split(".")[:2]))

    def test_cmake_of_one_language(self):
        self.build_with_cmake("C")
        self.build_with_cmake("CXX")

    def test_cmake_version(self):
        with self.assertRaises(AssertionError) as caught:
            self.build_with_cmake("C", "99.0")
        self.assertIn("99.0", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
