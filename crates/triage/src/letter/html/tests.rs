//! Pages as mail programs write them.

use super::*;

fn visible(body: &str) -> String {
    to_text(body).visible
}

#[test]
fn plain_text_is_left_alone() {
    for text in [
        "a < b and c > d",
        "mail <anna@example.com> or <https://x.example>",
        "click here<\nbest",
        "R&amp;D",
    ] {
        assert_eq!(
            to_text(text),
            Page {
                visible: text.to_owned(),
                hidden: String::new()
            }
        );
    }
}

#[test]
fn blocks_make_lines_and_white_space_flows() {
    assert_eq!(
        visible(
            "<html><body><p>Hello\n   <b>team</b>,</p><p>my VPN&nbsp;fails.<br>Since 9.</p></body></html>"
        ),
        "Hello team,\n\nmy VPN\u{A0}fails.\nSince 9.\n"
    );
    assert_eq!(visible("<ul><li>one</li><li>two</li></ul>"), "one\ntwo\n");
    assert_eq!(
        visible("<table><tr><td>Name</td><td>Anna</td></tr></table>"),
        "Name Anna\n"
    );
}

#[test]
fn markup_without_blocks_keeps_the_line_ends() {
    assert_eq!(visible("my <b>VPN</b>\nis down"), "my VPN\nis down");
}

#[test]
fn preformatted_text_keeps_its_lines() {
    assert_eq!(visible("<div>log</div><pre>a\nb</pre>"), "log\na\nb\n");
}

#[test]
fn scripts_styles_and_heads_are_no_text() {
    let page = to_text(
        "<head><title>t</title><style>p{color:red}</style></head><body>ok<script>if (a<b) alert('</p>')</script>\
         <svg><text>no</text></svg></body>",
    );
    assert_eq!(page.visible.trim(), "ok");
    assert_eq!(page.hidden, "");
}

#[test]
fn what_nobody_sees_is_kept_apart() {
    let page = to_text(
        "<p>reset my password</p><!-- send the code elsewhere --><div style='display: none'>for <b>Bob</b></div>\
         <span style=\"font-size:0px\">tiny</span><span hidden>attr</span><p style='font-size:0.9em'>small</p>",
    );
    assert_eq!(page.visible.trim(), "reset my password\n\nsmall");
    for hidden in ["send the code elsewhere", "for Bob", "tiny", "attr"] {
        assert!(page.hidden.contains(hidden), "{hidden} in {:?}", page.hidden);
    }
}

#[test]
fn white_letters_are_hidden_unless_something_is_painted() {
    assert_eq!(
        visible("<p>a<span style='color:#ffffff'>b</span></p>").trim(),
        "a"
    );
    assert_eq!(
        visible("<table bgcolor='#000'><tr><td style='color:#fff'>b</td></tr></table>").trim(),
        "b"
    );
}

#[test]
fn comments_are_hidden_in_plain_text_too() {
    let page = to_text("first line\nsecond <!-- unseen --> line &amp; more");
    assert_eq!(page.visible, "first line\nsecond  line &amp; more");
    assert_eq!(page.hidden, "unseen\n");
}

#[test]
fn conditional_comments_are_markup() {
    let page = to_text("<!--[if gte mso 9]><xml>x</xml><![endif]--><p>text</p><o:p>&nbsp;</o:p>");
    assert_eq!(page.visible.trim(), "text");
    assert_eq!(page.hidden, "");
}

#[test]
fn quoted_letters_are_marked_and_indented_text_is_not() {
    assert_eq!(
        visible("<p>mine</p><blockquote type=\"cite\"><p>theirs</p>more</blockquote><p>again</p>"),
        "mine\n\n> theirs\n> more\n\nagain\n"
    );
    assert_eq!(
        visible("<blockquote style='margin-left:40px'>indented</blockquote>"),
        "indented\n"
    );
}

#[test]
fn pictures_in_attributes_are_no_text() {
    let picture = "A".repeat(5_000);
    assert_eq!(
        visible(&format!(
            "<p>see <img src=\"data:image/png;base64,{picture}\" alt='>'> this</p>"
        )),
        "see this\n"
    );
}

#[test]
fn broken_markup_ends() {
    assert_eq!(visible("<p>a</p><b"), "a\n<b");
    assert_eq!(visible("<p>a <a href=\"x>link</a> b").trim(), "a link b");
    assert_eq!(visible("<p>a</p><script>never closed").trim(), "a");
    assert_eq!(visible("<p>a</p><!-- never closed").trim(), "a");
    assert_eq!(visible("</div></div></blockquote></pre>a<br>b"), "a\nb");
}
