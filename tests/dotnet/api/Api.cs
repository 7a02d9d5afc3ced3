using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Reflection;

namespace Mde.Tests
{
    /// <summary>
    /// <c>Api.exe ASSEMBLY</c> prints the public API, one member a line: what a program can compile against, with what may
    /// be null. Left out is what overrides a member that is listed, or one of the framework.
    /// </summary>
    internal static class Api
    {
        private const BindingFlags Declared =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

        private static void Main(string[] arguments)
        {
            var lines = new List<string>();
            foreach (var type in Assembly.LoadFrom(arguments[0]).GetExportedTypes())
            {
                lines.Add(type.FullName + ": " + Kind(type));
                lines.AddRange(Members(type).Select(it => type.FullName + ": " + it));
            }
            lines.Sort(StringComparer.Ordinal);
            foreach (var line in lines)
            {
                Console.Write(line + "\n");
            }
        }

        private static string Kind(Type type)
        {
            if (type.IsEnum)
            {
                return "enum";
            }
            var words = type.IsAbstract && type.IsSealed ? "static class" : type.IsAbstract ? "abstract class" : type.IsSealed ? "sealed class" : "class";
            var above = new List<string>();
            if (type.BaseType != null && type.BaseType != typeof(object))
            {
                above.Add(Name(type.BaseType));
            }
            var inherited = type.BaseType == null ? Type.EmptyTypes : type.BaseType.GetInterfaces();
            // What Exception implements differs between targets.
            above.AddRange(type.GetInterfaces().Except(inherited).Select(it => Name(it)).Where(it => it != "ISerializable"));
            return words + (above.Count == 0 ? "" : " : " + string.Join(", ", above));
        }

        private static IEnumerable<string> Members(Type type)
        {
            foreach (var field in type.GetFields(Declared).Where(it => it.IsPublic && !it.IsSpecialName))
            {
                yield return (type.IsEnum ? "" : (field.IsLiteral ? "const " : field.IsStatic ? "static " : "") + Name(field.FieldType) + " ")
                    + field.Name + (field.IsLiteral ? " = " + Convert.ToString(field.GetRawConstantValue(), CultureInfo.InvariantCulture) : "");
            }
            foreach (var constructor in type.GetConstructors(Declared).Where(it => IsVisible(it) && !IsSerialization(it)))
            {
                yield return Words(constructor) + "new(" + Parameters(constructor) + ")";
            }
            foreach (var method in type.GetMethods(Declared).Where(it => IsVisible(it) && !it.IsSpecialName && it.GetBaseDefinition() == it))
            {
                yield return Words(method) + Name(method.ReturnType, NullsOf(method.ReturnParameter, method)) + " " + method.Name
                    + "(" + Parameters(method) + ")";
            }
            foreach (var property in type.GetProperties(Declared))
            {
                var accessors = property.GetAccessors(true).Where(IsVisible).ToArray();
                if (accessors.Length > 0)
                {
                    var index = property.GetIndexParameters();
                    yield return Words(accessors[0]) + Name(property.PropertyType, NullsOf(property, accessors[0])) + " " + property.Name
                        + (index.Length == 0 ? "" : "[" + string.Join(", ", index.Select(it => Name(it.ParameterType) + " " + it.Name)) + "]")
                        + " { " + string.Join(" ", accessors.Select(it => it.Name.Substring(0, 3) + ";")) + " }";
                }
            }
        }

        private static bool IsVisible(MethodBase method)
        {
            return method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;
        }

        // Only .NET Standard has it.
        private static bool IsSerialization(MethodBase method)
        {
            return method.GetParameters().Any(it => it.ParameterType.Name == "SerializationInfo");
        }

        private static string Words(MethodBase method)
        {
            return (method.IsPublic ? "" : "protected ") + (method.IsStatic ? "static " : "")
                + (method.IsAbstract ? "abstract " : method.IsVirtual && !method.IsFinal ? "virtual " : "");
        }

        private static string Parameters(MethodBase method)
        {
            return string.Join(", ", method.GetParameters().Select(it =>
                (it.IsOut ? "out " : "") + Name(it.ParameterType, NullsOf(it, method)) + " " + it.Name
                + (it.IsOptional ? " = " + Default(it) : "")));
        }

        private static string Default(ParameterInfo parameter)
        {
            var value = parameter.RawDefaultValue;
            return value == null ? parameter.ParameterType.IsValueType ? "default" : "null"
                : Convert.ToString(value, CultureInfo.InvariantCulture) ?? "null";
        }

        /// <summary>
        /// The name of a type. <paramref name="nulls"/> are what the compiler wrote about null: one number for each part of
        /// the type that is a reference or generic, or one for all. 2 is for what may be null.
        /// </summary>
        private static string Name(Type type, Nulls? nulls = null)
        {
            if (type.IsByRef)
            {
                return Name(type.GetElementType() ?? type, nulls);
            }
            var value = Nullable.GetUnderlyingType(type);
            if (value != null)
            {
                return Name(value, nulls) + "?";
            }
            var mayBeNull = (!type.IsValueType || type.IsGenericType) && nulls?.Next() == 2 && !type.IsValueType;
            var name = type.IsGenericType
                ? type.Name.Substring(0, type.Name.IndexOf('`'))
                    + "<" + string.Join(", ", type.GetGenericArguments().Select(it => Name(it, nulls))) + ">"
                : type.Name;
            return name + (mayBeNull ? "?" : "");
        }

        private static Nulls NullsOf(ParameterInfo parameter, MemberInfo method)
        {
            return Bytes(parameter.GetCustomAttributesData(), "NullableAttribute") ?? Around(method);
        }

        private static Nulls NullsOf(MemberInfo property, MemberInfo accessor)
        {
            return Bytes(property.GetCustomAttributesData(), "NullableAttribute") ?? Around(accessor);
        }

        // Once for all in a member or in its class.
        private static Nulls Around(MemberInfo? member)
        {
            for (; member != null; member = member.DeclaringType)
            {
                var bytes = Bytes(member.GetCustomAttributesData(), "NullableContextAttribute");
                if (bytes != null)
                {
                    return bytes;
                }
            }
            return new Nulls();
        }

        private static Nulls? Bytes(IEnumerable<CustomAttributeData> attributes, string name)
        {
            foreach (var attribute in attributes.Where(it => it.Constructor.DeclaringType?.Name == name))
            {
                switch (attribute.ConstructorArguments[0].Value)
                {
                    case byte one:
                        return new Nulls(one);
                    case IEnumerable<CustomAttributeTypedArgument> many:
                        return new Nulls(many.Select(it => (byte)(it.Value ?? (byte)0)).ToArray());
                }
            }
            return null;
        }
    }

    /// <summary>Numbers of the compiler, read one after the other; one alone stands for all.</summary>
    internal sealed class Nulls
    {
        private readonly byte[] bytes;
        private int at;

        internal Nulls(params byte[] bytes)
        {
            this.bytes = bytes;
        }

        internal byte Next()
        {
            return bytes.Length == 1 ? bytes[0] : at < bytes.Length ? bytes[at++] : (byte)0;
        }
    }
}
