std = "luajit"
max_line_length = 110
-- callouts are methods, whether or not they use self
self = false
files["lua/"].globals = { "msys" }
files["conf/"].globals = { "msys" }
files["contrib/"].globals = { "msys" }
files["test/lua/"].globals = { "msys", "check" }
files["test/unit/"].globals = { "msys" }
files["test/fault/"].globals = { "msys", "faults", "hoarded" }
-- what these do is wasted on purpose
files["test/fault/policies/faults.lua"].ignore = { "211", "231", "241", "311", "411", "421", "431" }
files["test/mta/"].globals = { "msys" }
files["test/milter/"] = { globals = { "msys", "mt" } }
-- annotation files declare parameters only to document them
files["lua/meta/"].ignore = { "212", "241", "211" }
