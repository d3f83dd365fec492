//! What is sent to do harm, or by mistake: the answer is a finding, and soon.

use super::*;
