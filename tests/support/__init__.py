"""What the tests share: a clock that is moved by hand, fakes of everything outside, and events as they come in."""
