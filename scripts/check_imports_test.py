#!/usr/bin/env python3
"""Tests of check_imports.py: small trees of Rust files with circles made on purpose, and without any."""

import sys
import tempfile
import unittest
from pathlib import Path

import check_imports


def arrows_of(files):
    """The arrows of a crate whose files are given as {path below src: text}."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            file = Path(folder, "src", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        Path(folder, "Cargo.toml").write_text('[package]\nname = "a-house"\n', encoding="utf-8")
        arrows = {pair for crate in check_imports.crates(Path(folder)) for pair in crate.arrows()}
    return {(first.removeprefix("src/"), second.removeprefix("src/")) for first, second in arrows}


def faults_of(files, order=None, only=None, exceptions=frozenset()):
    """The first line of each fault."""
    arrows = {(f"src/{first}", f"src/{second}") for first, second in arrows_of(files)}
    return [text for text, _ in check_imports.check(arrows, order or {}, only or {}, set(exceptions))]


class Circles(unittest.TestCase):
    TWO = {"lib.rs": "mod a;\nmod b;", "a.rs": "use crate::b::B;\npub struct A(B);", "b.rs": "pub struct B;"}

    def test_a_tree_without_one_passes(self):
        self.assertEqual(faults_of(self.TWO), [])

    def test_two_files_that_use_each_other_are_one(self):
        self.assertEqual(faults_of(self.TWO | {"b.rs": "use super::a;\nfn b() -> a::A {}"}), ["src/: a circle of a, b"])

    def test_a_path_in_the_code_counts_as_a_use_does(self):
        self.assertEqual(faults_of(self.TWO | {"b.rs": "fn b() { crate::a::go() }"}), ["src/: a circle of a, b"])

    def test_three_files_in_a_folder_inside_a_folder_are_one(self):
        files = {"lib.rs": "mod out;", "out/mod.rs": "mod deep;", "out/deep.rs": "mod x; mod y; mod z;"}
        files |= {"out/deep/x.rs": "use super::y::{Y as Why};", "out/deep/y.rs": "use super::z::*;"}
        self.assertEqual(faults_of(files | {"out/deep/z.rs": "pub struct Z;"}), [])
        self.assertEqual(
            faults_of(files | {"out/deep/z.rs": "use super::x;\nfn z() { x::go() }"}),
            ["src/out/deep/: a circle of x, y, z"],
        )

    def test_folders_that_use_each_other_through_different_files_are_one(self):
        files = {"lib.rs": "mod a; mod b;", "a/mod.rs": "mod one; mod two;", "b/mod.rs": "mod one; mod two;"}
        files |= {
            "a/one.rs": "use crate::b::one::X;",
            "a/two.rs": "",
            "b/one.rs": "",
            "b/two.rs": "use crate::a::two::X;",
        }
        self.assertEqual(faults_of(files), ["src/: a circle of a, b"])

    def test_a_file_that_uses_the_folder_it_is_in_is_one_if_the_folder_uses_it(self):
        files = {"lib.rs": "mod a;", "a/mod.rs": "mod one;\npub struct A;\nfn a() { one::go() }"}
        self.assertEqual(faults_of(files | {"a/one.rs": "use super::A;"}), ["src/a/: a circle of mod, one"])
        beside = {"lib.rs": "mod a;", "a.rs": files["a/mod.rs"], "a/one.rs": "use super::A;"}
        self.assertEqual(faults_of(beside), ["src/a/: a circle of mod, one"])

    def test_what_is_only_re_exported_is_looked_through(self):
        files = {"lib.rs": "mod a;", "a/mod.rs": "mod one;\nmod two;\npub use two::Two;", "a/two.rs": "pub struct Two;"}
        files |= {"a/one.rs": "use super::Two;"}
        self.assertEqual(arrows_of(files), {("a/one.rs", "a/two.rs")})
        uses_it = files | {"a/mod.rs": files["a/mod.rs"] + "\nfn f() -> Two {}"}
        self.assertEqual(arrows_of(uses_it), {("a/one.rs", "a/two.rs"), ("a/mod.rs", "a/two.rs")})


class WhatDoesNotCount(unittest.TestCase):
    def test_comments_strings_and_tests(self):
        other = """
            // crate::a::A
            /* use crate::a::A; */
            const TEXT: &str = "crate::a::A";
            const RAW: &str = r#"a " crate::a::A"#;
            const QUOTE: char = '"';
            fn life<'a>(x: &'a str) -> &'a str { x }
            #[cfg(test)]
            use crate::a::{A, B};
            #[cfg(test)]
            #[allow(unused)]
            mod tests { use crate::a::A; fn f() { let x = '}'; } }
            #[cfg(all(test, unix))]
            mod more;
        """
        files = {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": other, "b/more.rs": "use crate::a::A;"}
        self.assertEqual(faults_of(files), [])

    def test_but_what_is_compiled_without_tests_does(self):
        files = {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "#[cfg(not(test))]\nuse crate::a::A;"}
        self.assertEqual(faults_of(files), ["src/: a circle of a, b"])

    def test_other_crates(self):
        self.assertEqual(
            arrows_of({"lib.rs": "mod a;", "a.rs": "use std::fmt; fn f() { http::Uri::default(); }"}), set()
        )


class Order(unittest.TestCase):
    FILES = {"lib.rs": "mod low; mod high; mod side;", "low.rs": "", "side.rs": "", "high.rs": "use crate::low::L;"}
    ORDER = {"src": ["low side", "high"]}

    def test_down_is_allowed(self):
        self.assertEqual(faults_of(self.FILES, self.ORDER), [])

    def test_up_is_not(self):
        files = self.FILES | {"high.rs": "", "low.rs": "use crate::high::H;"}
        self.assertEqual(faults_of(files, self.ORDER), ["src/: low -> high goes up"])

    def test_nor_is_the_same_line(self):
        files = self.FILES | {"low.rs": "use crate::side::S;"}
        self.assertEqual(faults_of(files, self.ORDER), ["src/: low -> side is on the same line"])

    def test_nor_a_room_beyond_its_own_list(self):
        only = {"src": {"high": "side"}}
        self.assertEqual(faults_of(self.FILES, self.ORDER, only), ["src/: high -> low may use only: side"])

    def test_a_room_without_a_place_is_told(self):
        self.assertIn("low is missing in the order", faults_of(self.FILES, {"src": ["high"]})[0])

    def test_the_binary_uses_the_library_by_its_name(self):
        files = self.FILES | {"main.rs": "use a_house::high::{self, H};\nfn main() { high::go() }"}
        self.assertIn(("main.rs", "high.rs"), arrows_of(files))


class Exceptions(unittest.TestCase):
    FILES = {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B;", "b.rs": "use crate::a::A;"}
    ENTRY = "src/b.rs -> src/a.rs"

    def test_one_arrow_can_be_left_for_later(self):
        self.assertEqual(faults_of(self.FILES, exceptions={self.ENTRY}), [])

    def test_one_that_nothing_needs_has_to_go(self):
        found = faults_of(self.FILES | {"b.rs": ""}, exceptions={self.ENTRY})
        self.assertEqual(found, [f"{self.ENTRY}: needs no exception any more; remove it from check_imports.py"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
