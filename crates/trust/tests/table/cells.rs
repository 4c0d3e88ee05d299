//! The state table of docs/protocol.md §5, cell by cell.
//!
//! A block is one command. Its lines name the places they speak of, then what happens when the
//! clock stands *before the beginning* of that state, *in time*, and *late*.
//!
//! A cell is a next state and what the caller hears. `=` changes nothing. `~` stays where it is
//! but counts (a try, a refused scan, one of two confirmations, a claim). No word behind it means
//! the caller hears "ok".

/// The table.
pub const TABLE: &str = "
scan by a new device, policy allows
  opened pushed denied-4       | = clock | Scanned                   | Expired code_not_live
  scanned scanned-both half last-try     | = clock | = code_not_live           | Expired code_not_live
  confirmed approved                     | = clock | = code_not_live           | Expired code_not_live
  redeemed claimed                       | = clock | = code_not_live           | = code_not_live
  refused expired unseen abandoned revoked replayed | = clock | = code_not_live | = code_not_live

scan by a new device, policy refuses
  opened pushed                | = clock | ~ too_far                 | Expired code_not_live
  denied-4                               | = clock | Abandoned too_far         | Expired code_not_live
  scanned scanned-both half last-try     | = clock | = code_not_live           | Expired code_not_live
  confirmed approved                     | = clock | = code_not_live           | Expired code_not_live
  redeemed claimed                       | = clock | = code_not_live           | = code_not_live
  refused expired unseen abandoned revoked replayed | = clock | = code_not_live | = code_not_live

scan again by the scanner
  opened pushed denied-4       | = clock | Scanned                   | Expired code_not_live
  scanned scanned-both half last-try     | = clock | =                         | Expired code_not_live
  confirmed approved                     | = clock | =                         | Expired code_not_live
  redeemed claimed                       | = clock | = code_not_live           | = code_not_live
  refused expired unseen abandoned revoked replayed | = clock | = code_not_live | = code_not_live

take by the offered person
  pushed                                 | = clock | Scanned                   | Expired code_not_live
  opened denied-4              | = clock | = no_such_ceremony        | Expired code_not_live
  scanned scanned-both half last-try     | = clock | = code_not_live           | Expired code_not_live
  confirmed approved                     | = clock | = code_not_live           | Expired code_not_live
  redeemed claimed                       | = clock | = code_not_live           | = code_not_live
  refused expired unseen abandoned revoked replayed | = clock | = code_not_live | = code_not_live

take by somebody else
  opened pushed denied-4       | = clock | = no_such_ceremony        | Expired code_not_live
  scanned scanned-both half last-try     | = clock | = code_not_live           | Expired code_not_live
  confirmed approved                     | = clock | = code_not_live           | Expired code_not_live
  redeemed claimed                       | = clock | = code_not_live           | = code_not_live
  refused expired unseen abandoned revoked replayed | = clock | = code_not_live | = code_not_live

confirm on the terminal, right digits
  opened pushed denied-4       | = clock | = not_yet                 | Expired expired
  scanned half last-try                  | = clock | Confirmed                 | Expired expired
  scanned-both                           | = clock | ~                         | Expired expired
  confirmed approved                     | = clock | =                         | Expired expired
  redeemed claimed                       | = clock | = gone                    | = gone
  refused expired unseen abandoned revoked replayed | = clock | = gone         | = gone

confirm on the terminal, wrong digits
  opened pushed denied-4       | = clock | = not_yet                 | Expired expired
  scanned scanned-both half              | = clock | ~ wrong_code              | Expired expired
  last-try                               | = clock | Refused denied            | Expired expired
  confirmed approved                     | = clock | =                         | Expired expired
  redeemed claimed                       | = clock | = gone                    | = gone
  refused expired unseen abandoned revoked replayed | = clock | = gone         | = gone

confirm on the device, right digits
  opened pushed denied-4       | = clock | = not_yet                 | Expired expired
  scanned last-try                       | = clock | =                         | Expired expired
  scanned-both                           | = clock | ~                         | Expired expired
  half                                   | = clock | =                         | Expired expired
  confirmed approved                     | = clock | =                         | Expired expired
  redeemed claimed                       | = clock | = gone                    | = gone
  refused expired unseen abandoned revoked replayed | = clock | = gone         | = gone

approve, good proof
  opened pushed denied-4       | = clock | = no_such_ceremony        | = no_such_ceremony
  scanned scanned-both half last-try     | = clock | = confirm_first           | Expired expired
  confirmed                              | = clock | Approved                  | Expired expired
  approved                               | = clock | = decided                 | Expired expired
  redeemed claimed                       | = clock | = decided                 | = decided
  unseen                                 | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired abandoned revoked replayed | = clock | = gone                | = gone

approve again, same jti
  opened pushed denied-4       | = clock | = no_such_ceremony        | = no_such_ceremony
  scanned scanned-both half last-try     | = clock | = confirm_first           | Expired expired
  confirmed                              | = clock | Approved                  | Expired expired
  approved                               | = clock | =                         | Expired expired
  redeemed claimed                       | = clock | =                         | =
  unseen                                 | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired abandoned revoked replayed | = clock | = gone                | = gone

approve, bad proof
  opened pushed denied-4       | = clock | = no_such_ceremony        | = no_such_ceremony
  scanned scanned-both half last-try     | = clock | = confirm_first           | Expired expired
  confirmed                              | = clock | = bad_proof               | Expired expired
  approved                               | = clock | = decided                 | Expired expired
  redeemed claimed                       | = clock | = decided                 | = decided
  unseen                                 | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired abandoned revoked replayed | = clock | = gone                | = gone

approve, policy refuses
  opened pushed denied-4       | = clock | = no_such_ceremony        | = no_such_ceremony
  scanned scanned-both half last-try     | = clock | = confirm_first           | Expired expired
  confirmed                              | = clock | Refused denied            | Expired expired
  approved                               | = clock | = decided                 | Expired expired
  redeemed claimed                       | = clock | = decided                 | = decided
  unseen                                 | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired abandoned revoked replayed | = clock | = gone                | = gone

approve by another device
  opened pushed denied-4       | = clock | = no_such_ceremony        | = no_such_ceremony
  scanned scanned-both half last-try     | = clock | = no_such_ceremony        | = no_such_ceremony
  confirmed approved                     | = clock | = no_such_ceremony        | = no_such_ceremony
  redeemed claimed                       | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired unseen abandoned revoked replayed | = clock | = no_such_ceremony | = no_such_ceremony

refuse by the scanner
  opened pushed denied-4       | = clock | = no_such_ceremony        | Expired no_such_ceremony
  scanned scanned-both half last-try     | = clock | Refused                   | Expired expired
  confirmed approved                     | = clock | Refused                   | Expired expired
  redeemed claimed                       | = clock | Revoked                   | Revoked
  unseen                                 | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired abandoned revoked replayed | = clock | =                     | =

not_me by the scanner
  opened pushed denied-4       | = clock | = no_such_ceremony        | Expired no_such_ceremony
  scanned scanned-both half last-try     | = clock | Refused                   | Expired expired
  confirmed approved                     | = clock | Refused                   | Expired expired
  redeemed claimed                       | = clock | Revoked                   | Revoked
  unseen                                 | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired abandoned revoked replayed | = clock | =                     | =

refuse by the offered person
  pushed                                 | = clock | Refused                   | Expired expired
  opened denied-4              | = clock | = no_such_ceremony        | Expired no_such_ceremony
  scanned scanned-both half last-try     | = clock | = no_such_ceremony        | = no_such_ceremony
  confirmed approved                     | = clock | = no_such_ceremony        | = no_such_ceremony
  redeemed claimed                       | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired unseen abandoned revoked replayed | = clock | = no_such_ceremony | = no_such_ceremony

refuse by a stranger
  opened pushed denied-4       | = clock | = no_such_ceremony        | Expired no_such_ceremony
  scanned scanned-both half last-try     | = clock | = no_such_ceremony        | = no_such_ceremony
  confirmed approved                     | = clock | = no_such_ceremony        | = no_such_ceremony
  redeemed claimed                       | = clock | = no_such_ceremony        | = no_such_ceremony
  refused expired unseen abandoned revoked replayed | = clock | = no_such_ceremony | = no_such_ceremony

redeem, policy allows
  opened pushed denied-4       | = clock | = pending                 | Expired expired
  scanned scanned-both half last-try     | = clock | = pending                 | Expired expired
  confirmed                              | = clock | = pending                 | Expired expired
  approved                               | = clock | Redeemed                  | Expired expired
  redeemed claimed                       | = clock | Revoked already_redeemed  | Revoked already_redeemed
  refused                                | = clock | = denied                  | = denied
  expired unseen                         | = clock | = expired                 | = expired
  abandoned revoked replayed             | = clock | = gone                    | = gone

redeem, policy refuses
  opened pushed denied-4       | = clock | = pending                 | Expired expired
  scanned scanned-both half last-try     | = clock | = pending                 | Expired expired
  confirmed                              | = clock | = pending                 | Expired expired
  approved                               | = clock | Refused denied            | Expired expired
  redeemed claimed                       | = clock | Revoked already_redeemed  | Revoked already_redeemed
  refused                                | = clock | = denied                  | = denied
  expired unseen                         | = clock | = expired                 | = expired
  abandoned revoked replayed             | = clock | = gone                    | = gone

redeem again, winning jti, within 10 s
  opened pushed denied-4       | = clock | = pending                 | Expired expired
  scanned scanned-both half last-try     | = clock | = pending                 | Expired expired
  confirmed                              | = clock | = pending                 | Expired expired
  approved                               | = clock | Redeemed                  | Expired expired
  redeemed claimed                       | = clock | = already_redeemed        | Revoked already_redeemed
  refused                                | = clock | = denied                  | = denied
  expired unseen                         | = clock | = expired                 | = expired
  abandoned revoked replayed             | = clock | = gone                    | = gone

redeem again, winning jti, after 10 s
  opened pushed denied-4       | = clock | = pending                 | Expired expired
  scanned scanned-both half last-try     | = clock | = pending                 | Expired expired
  confirmed                              | = clock | = pending                 | Expired expired
  approved                               | = clock | Redeemed                  | Expired expired
  redeemed claimed                       | = clock | Revoked already_redeemed  | Revoked already_redeemed
  refused                                | = clock | = denied                  | = denied
  expired unseen                         | = clock | = expired                 | = expired
  abandoned revoked replayed             | = clock | = gone                    | = gone

claim
  opened pushed denied-4       | = clock | = gone                    | = gone
  scanned scanned-both half last-try     | = clock | = gone                    | = gone
  confirmed approved                     | = clock | = gone                    | = gone
  redeemed                               | = clock | ~                         | Revoked gone
  claimed                                | = clock | =                         | =
  refused expired unseen abandoned revoked replayed | = clock | = gone         | = gone

abandon
  opened pushed denied-4       | = clock | Abandoned                 | Expired
  scanned scanned-both half last-try     | = clock | Abandoned                 | Expired
  confirmed approved                     | = clock | Abandoned                 | Expired
  redeemed                               | = clock | Revoked                   | Revoked
  claimed                                | = clock | = gone                    | = gone
  refused expired unseen abandoned revoked replayed | = clock | =              | =

cut
  opened pushed denied-4       | Refused | Refused                   | Refused
  scanned scanned-both half last-try     | Refused | Refused                   | Refused
  confirmed approved                     | Refused | Refused                   | Refused
  redeemed claimed                       | Revoked | Revoked                   | Revoked
  refused expired unseen abandoned revoked replayed | = | =                    | =

sweep
  opened pushed denied-4       | =       | =                         | Expired
  scanned scanned-both half last-try     | =       | =                         | Expired
  confirmed approved                     | =       | =                         | Expired
  redeemed                               | =       | =                         | Revoked
  claimed                                | =       | =                         | =
  refused expired unseen abandoned revoked replayed | = | =                    | =
";
