use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator};

use super::Instruction;

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

pub(super) const OFFSET_NUMBER: u32 = 0;
pub(super) const OFFSET_ARCH: u32 = 4;

pub(super) type Code = Vec<Instruction>;

/// What happens to a range of system call numbers: conditions tried in order, and what is left when none holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) conditions: Vec<(Vec<LinuxSeccompArg>, u32)>,
    pub(super) otherwise: u32,
}

pub(super) fn load(offset: u32) -> Instruction {
    Instruction {
        code: LOAD,
        jump_true: 0,
        jump_false: 0,
        operand: offset,
    }
}

pub(super) fn ret(action: u32) -> Instruction {
    Instruction {
        code: RETURN,
        jump_true: 0,
        jump_false: 0,
        operand: action,
    }
}

fn skip(count: usize) -> Instruction {
    Instruction {
        code: JUMP,
        jump_true: 0,
        jump_false: 0,
        operand: count as u32,
    }
}

/// `then` if the accumulator equals the value, else on to what follows.
pub(super) fn if_equal(value: u32, then: Code) -> Code {
    let mut code = vec![
        Instruction {
            code: JUMP_EQUAL,
            jump_true: 1,
            jump_false: 0,
            operand: value,
        },
        skip(then.len()),
    ];
    code.extend(then);
    code
}

/// A binary search over ranges, each beginning at its number and reaching to the next one's. The accumulator holds the
/// number of the system call.
pub(super) fn search(ranges: &[(u32, Decision)]) -> Code {
    if let [(_, decision)] = ranges {
        return decide(decision);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (below, above) = (search(low), search(high));
    let mut code = Vec::with_capacity(below.len() + above.len() + 2);
    // A conditional jump reaches 255 instructions; a plain one any distance.
    code.push(Instruction {
        code: JUMP_GREATER_EQUAL,
        jump_true: 0,
        jump_false: 1,
        operand: high[0].0,
    });
    code.push(skip(below.len()));
    code.extend(below);
    code.extend(above);
    code
}

fn decide(decision: &Decision) -> Code {
    let mut code = Vec::new();
    for (args, action) in &decision.conditions {
        code.extend(condition(args, *action));
    }
    code.push(ret(decision.otherwise));
    code
}

/// Returns the action if every comparison holds, else goes on to what follows.
fn condition(args: &[LinuxSeccompArg], action: u32) -> Code {
    let mut code = vec![ret(action)];
    for arg in args.iter().rev() {
        let mut checked = compare(arg, code.len());
        checked.extend(code);
        code = checked;
    }
    code
}

/// Falls through if the comparison holds, else skips `rest` further instructions. The kernel gives arguments as two
/// words of 32 bits.
fn compare(arg: &LinuxSeccompArg, rest: usize) -> Code {
    let offset = 16 + 8 * arg.index() as u32;
    let (low, high) = if cfg!(target_endian = "big") {
        (offset + 4, offset)
    } else {
        (offset, offset + 4)
    };
    let split = |value: u64| (value as u32, (value >> 32) as u32);
    let jump = |code, operand, jump_true: usize, jump_false: usize| Instruction {
        code,
        jump_true: jump_true as u8,
        jump_false: jump_false as u8,
        operand,
    };
    let and = |mask| Instruction {
        code: AND,
        jump_true: 0,
        jump_false: 0,
        operand: mask,
    };
    let (value_low, value_high) = split(arg.value());
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => vec![
            load(high),
            jump(JUMP_EQUAL, value_high, 0, 2 + rest),
            load(low),
            jump(JUMP_EQUAL, value_low, 0, rest),
        ],
        LinuxSeccompOperator::ScmpCmpNe => vec![
            load(high),
            jump(JUMP_EQUAL, value_high, 0, 2),
            load(low),
            jump(JUMP_EQUAL, value_low, rest, 0),
        ],
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let (wanted_low, wanted_high) = split(arg.value_two().unwrap_or(0));
            vec![
                load(high),
                and(value_high),
                jump(JUMP_EQUAL, wanted_high, 0, 3 + rest),
                load(low),
                and(value_low),
                jump(JUMP_EQUAL, wanted_low, 0, rest),
            ]
        }
        LinuxSeccompOperator::ScmpCmpGt => {
            ordered(low, high, value_low, value_high, JUMP_GREATER, true, rest)
        }
        LinuxSeccompOperator::ScmpCmpGe => {
            ordered(low, high, value_low, value_high, JUMP_GREATER_EQUAL, true, rest)
        }
        LinuxSeccompOperator::ScmpCmpLt => {
            ordered(low, high, value_low, value_high, JUMP_GREATER_EQUAL, false, rest)
        }
        LinuxSeccompOperator::ScmpCmpLe => {
            ordered(low, high, value_low, value_high, JUMP_GREATER, false, rest)
        }
    }
}

/// Orders by the high word first, and by the low word with `last` where the high words are equal; `wanted` is what the
/// comparison must come to.
fn ordered(
    low: u32,
    high: u32,
    value_low: u32,
    value_high: u32,
    last: u16,
    wanted: bool,
    rest: usize,
) -> Code {
    let jump = |code, operand, (jump_true, jump_false): (usize, usize)| Instruction {
        code,
        jump_true: jump_true as u8,
        jump_false: jump_false as u8,
        operand,
    };
    let pick = |greater: usize, not: usize| if wanted { (greater, not) } else { (not, greater) };
    let (above, below) = pick(3, 3 + rest);
    vec![
        load(high),
        jump(JUMP_GREATER, value_high, (above, 0)),
        jump(JUMP_EQUAL, value_high, (0, below - 1)),
        load(low),
        jump(last, value_low, pick(0, rest)),
    ]
}
