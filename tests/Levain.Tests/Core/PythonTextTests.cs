using Levain.Core;
using Xunit;

namespace Levain.Tests.Core;

public sealed class PythonTextTests
{
    [Theory]
    [InlineData(0.0, "0.0")]
    [InlineData(5, "5.0")]
    [InlineData(1e-5, "1e-05")]
    [InlineData(1e-4, "0.0001")]
    [InlineData(2.5e-7, "2.5e-07")]
    [InlineData(0.1, "0.1")]
    [InlineData(1.0 / 3, "0.3333333333333333")]
    [InlineData(123456789.125, "123456789.125")]
    [InlineData(1e15, "1000000000000000.0")]
    [InlineData(1e16, "1e+16")]
    [InlineData(1e23, "1e+23")]
    [InlineData(-1.5e300, "-1.5e+300")]
    [InlineData(5e-324, "5e-324")]
    public void Floats_are_spelt_as_Python_spells_them(double number, string spelt) => Assert.Equal(spelt, PythonText.Repr(number));

    [Fact]
    public void Values_are_spelt_as_Python_spells_them()
    {
        Assert.Equal("(512, 512)", PythonText.Repr(new PythonTuple(512, 512)));
        Assert.Equal("[0.0001, None, True, 'it']", PythonText.Repr(new object?[] { 1e-4, null, true, "it" }));
        Assert.Equal("\"it's\"", PythonText.Repr("it's"));
        Assert.Equal("text", PythonText.Str("text"));
    }

    [Fact]
    public void Json_is_written_as_Python_writes_it()
    {
        KeyValuePair<string, object?>[] map = [new("a", 1), new("猫", new object?[] { 1.0, null, false, "\"\n" }), new("b", new KeyValuePair<string, object?>[0])];
        Assert.Equal("""{"a": 1, "\u732b": [1.0, null, false, "\"\n"], "b": {}}""", PythonText.Json(map));
    }

    [Theory]
    [InlineData("True", "True")]
    [InlineData("None", "None")]
    [InlineData("0.9,0.99", "(0.9, 0.99)")]
    [InlineData("1,", "(1,)")]
    [InlineData("\"1:5,0.3:12,0.1\"", "'1:5,0.3:12,0.1'")]
    [InlineData("[1, 2.0]", "[1, 2.0]")]
    [InlineData("(1, (2, 3))", "(1, (2, 3))")]
    [InlineData("-1e-3", "-0.001")]
    public void Literals_are_read(string text, string repr)
    {
        Assert.True(PythonText.TryLiteral(text, out var value));
        Assert.Equal(repr, PythonText.Repr(value));
    }

    [Theory]
    [InlineData("true")]
    [InlineData("1:5,0.1")]
    [InlineData("\"open")]
    [InlineData("[1, 2")]
    [InlineData("nan")]
    [InlineData("")]
    public void What_is_no_literal_is_not_read(string text) => Assert.False(PythonText.TryLiteral(text, out _));
}
