-- Checks for scriptlets under test: each raises when it fails, so that its callout does, and counts
-- when it holds. check.report() goes into validate_dealloc; the runner compares the number with the
-- plan of the file.
local check = { count = 0 }

local function held()
  check.count = check.count + 1
end

local function show(value)
  return type(value) == "string" and string.format("%q", value) or tostring(value)
end

function check.ok(value, what)
  if not value then
    error((what or "check") .. ": got " .. show(value), 2)
  end
  held()
end

function check.eq(got, wanted, what)
  if got ~= wanted then
    error(string.format("%s: got %s, wanted %s", what or "check", show(got), show(wanted)), 2)
  end
  held()
end

-- Lists of the same length with equal members.
function check.list(got, wanted, what)
  check.eq(type(got), "table", what)
  check.eq("{" .. table.concat(got, "|") .. "}", "{" .. table.concat(wanted, "|") .. "}", what)
end

-- `part` is plain text that the message of the error must hold.
function check.raises(part, fn, ...)
  local ok, why = pcall(fn, ...)
  if ok then
    error("no error, wanted one with " .. show(part), 2)
  end
  if not tostring(why):find(part, 1, true) then
    error("got the error " .. show(why) .. ", wanted one with " .. show(part), 2)
  end
  held()
end

function check.report()
  print("checks: " .. check.count)
end

return check
