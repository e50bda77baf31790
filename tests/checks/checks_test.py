"""The checks see what they are there for, shown on made-up trees."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import config_keys
import includes
import record_steps


class Tree(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = self.directory.name

    def file(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as out:
            out.write(text)

    def wrong_includes(self):
        return [f"{path}:{line}: {sentence}" for path in includes.our_files(self.root)
                for line, sentence in includes.judge_file(self.root, path)]


class Includes(Tree):
    def test_a_tidy_tree_has_nothing_to_say(self):
        self.file("runtime/result.hpp", "#pragma once\n#include <tl/expected.hpp>\n")
        self.file("wire/frame.hpp", '#pragma once\n#include "runtime/result.hpp"\n')
        self.file("wire/frame.cpp", '#include "wire/frame.hpp"\n#include <vector>\n')
        self.file("tests/wire/frame_test.cpp",
                  '#include "wire/frame.hpp"\n#include <catch2/catch.hpp>\n')
        self.assertEqual(self.wrong_includes(), [])

    def test_an_include_that_points_up_is_seen(self):
        self.file("storage/log.hpp", "#pragma once\n")
        self.file("wire/frame.hpp", '#pragma once\n\n#include "storage/log.hpp"\n')
        self.assertEqual(self.wrong_includes(),
                         ['wire/frame.hpp:3: "storage/log.hpp": wire/ must not know it'])

    def test_a_foreign_header_outside_its_file_is_seen(self):
        self.file("actors/session.cpp", "#include <toml++/toml.h>\n#include <linux/fs.h>\n"
                                        "#include <boost/asio.hpp>\n")
        wrong = self.wrong_includes()
        self.assertEqual(len(wrong), 3)
        self.assertIn("actors/session.cpp:1: <toml++/toml.h> must not be seen here", wrong)
        self.assertIn("in no line of the table", wrong[2])

    def test_a_system_call_in_a_deciding_folder_is_seen(self):
        self.file("wire/frame.cpp", "#include <unistd.h>\n")
        self.assertEqual(len(self.wrong_includes()), 1)

    def test_the_shape_of_headers_and_sources_is_seen(self):
        self.file("wire/tlv.hpp", "using namespace std;\n")
        self.file("wire/tlv.cpp", '#include <vector>\n#include "wire/tlv.hpp"\n')
        self.file("wire/frame.cpp", '#include "tlv.hpp"\n')
        self.assertEqual(len(self.wrong_includes()), 4)


class RecordSteps(Tree):
    def readme(self, changed=None):
        rows = []
        for way, length in record_steps.WAYS.items():
            for step in range(1, length + 1):
                row = f"| {way} {step}/{length} | something | `runtime/{way}_{step}` |"
                rows.append((changed or {}).get((way, step), row))
        self.file("README.md", "\n".join(rows) + "\n")

    def source(self, without=()):
        for way, length in record_steps.WAYS.items():
            for step in range(1, length + 1):
                if (way, step) not in without:
                    self.file(f"runtime/{way}_{step}.cpp", f"// {way} {step}/{length}: here\n")

    def test_agreement_is_silent(self):
        self.readme()
        self.source()
        self.assertEqual(record_steps.judge(self.root), [])

    def test_a_missing_step_a_second_one_and_a_stray_one_are_seen(self):
        self.readme()
        self.source(without=[("record", 3)])
        self.file("wire/other.cpp", "// record 4/9 again\n// record 3/8\n")
        wrong = "\n".join(record_steps.judge(self.root))
        self.assertIn("record 3/9 must be in the source once, but is: nowhere", wrong)
        self.assertIn("runtime/record_4.cpp:1, wire/other.cpp:1", wrong)
        self.assertIn("wire/other.cpp:2: record 3/8 is no step", wrong)

    def test_a_goal_is_not_in_the_source(self):
        goal = {("record", 7): "| record 7/9 | copied (goal) | `cluster/replicator` |"}
        self.readme(goal)
        self.source(without=[("record", 7)])
        self.assertEqual(record_steps.judge(self.root), [])
        self.source()
        self.assertIn("called a goal", record_steps.judge(self.root)[0])

    def test_a_row_that_names_another_place_is_seen(self):
        self.readme({("fetch", 2): "| fetch 2/6 | x | `actors/reader` |"})
        self.source()
        self.assertIn("names actors/reader", record_steps.judge(self.root)[0])

    def test_a_row_that_is_missing_is_seen(self):
        self.readme({("fetch", 2): ""})
        self.source()
        wrong = record_steps.judge(self.root)
        self.assertIn("README.md:1: no row for fetch 2/6", wrong)

    def test_the_way_back_may_be_left_out_as_a_whole(self):
        fetch = {("fetch", step) for step in range(1, 7)}
        self.readme({step: "" for step in fetch})
        self.source(without=fetch)
        self.assertEqual(record_steps.judge(self.root), [])


class ConfigKeys(Tree):
    def test_only_built_keys_must_be_read(self):
        self.file("config/keys.cpp", '''
            {"io", "depth", kind::integer, x},
            with_flag({"node", "id", kind::integer, x}, "-n"),
            with_flag(idle({"network", "peer", kind::text, x}, "y"), "-p"),
            idle(or_empty(
                 {"network", "advertised", kind::address, x}), "y"),
            refused({"tls", "cert", kind::text, x}, "y"),
        ''')
        self.file("actors/system.cpp", "use(values.node.id);")
        self.assertEqual(config_keys.ignored(self.root), ["io.depth"])
        self.assertEqual(len(config_keys.keys(self.root)), 5)


if __name__ == "__main__":
    unittest.main()
